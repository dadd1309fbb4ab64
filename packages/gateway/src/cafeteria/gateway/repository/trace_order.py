"""SQL of what the gateway knows of one order: one statement, which reads the order's row alone."""

from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.ops import TraceFact

_FACTS = Statement("""
SELECT f.at, f.what, CAST(jsonb_strip_nulls(f.detail) AS text) AS detail
FROM gateway.orders AS o CROSS JOIN LATERAL (
    SELECT o.created_at, 'received', jsonb_build_object(
        'student_id', o.student_id, 'lines', CAST(jsonb_array_length(o.lines) AS text))
    UNION ALL
    SELECT CAST(t.at AS timestamptz), lower(replace(t.status, '_', '-')), jsonb_build_object(
        'reason', CASE WHEN t.status IN ('REJECTED', 'CANCELLED') THEN o.rejection_reason END,
        'total', CASE WHEN t.status = 'STOCK_VERIFIED' THEN CAST(o.total AS text) END)
    FROM jsonb_each_text(o.status_times) AS t (status, at) WHERE t.status <> 'PENDING'
    UNION ALL
    SELECT o.kitchen_seen_at, 'kitchen-seen', jsonb_build_object('notified_version', CAST(o.notified_version AS text))
    UNION ALL
    SELECT o.released_at, 'released', jsonb_build_object()
) AS f (at, what, detail)
WHERE o.id = CAST(:order_id AS uuid) AND f.at IS NOT NULL
ORDER BY f.at
""")
_DETAIL = msgspec.json.Decoder(dict[str, str])


async def read_facts(connection: AsyncConnection, order_id: UUID) -> tuple[TraceFact, ...]:
    """Return the facts by time; none for an order that was never heard of."""
    rows = await _FACTS.rows(connection, {"order_id": order_id})
    return tuple(TraceFact(at=row.at, what=row.what, detail=_DETAIL.decode(row.detail)) for row in rows)
