"""SQL of what the kitchen knows of one order: its ticket."""

from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.ops import TraceFact

_FACTS = Statement("""
SELECT f.at, f.what, CAST(jsonb_strip_nulls(f.detail) AS text) AS detail
FROM kitchen.kitchen_orders AS k CROSS JOIN LATERAL (
    SELECT k.received_at, 'received', jsonb_build_object('lines', CAST(jsonb_array_length(k.lines) AS text))
    UNION ALL
    SELECT k.started_at, 'started', jsonb_build_object('station', CAST(k.station AS text))
    UNION ALL
    SELECT k.completed_at, 'ready', jsonb_build_object()
    UNION ALL
    SELECT k.collected_at, 'collected', jsonb_build_object()
    UNION ALL
    SELECT h.changed_at, 'cancelled', jsonb_build_object()
    FROM kitchen.order_status_history AS h WHERE h.kitchen_order_id = k.id AND h.status = 'CANCELLED'
) AS f (at, what, detail)
WHERE k.order_id = CAST(:order_id AS uuid) AND f.at IS NOT NULL
ORDER BY f.at
""")
_DETAIL = msgspec.json.Decoder(dict[str, str])


async def read_facts(connection: AsyncConnection, order_id: UUID) -> tuple[TraceFact, ...]:
    """Return the facts by time; none for an order that was never heard of."""
    rows = await _FACTS.rows(connection, {"order_id": order_id})
    return tuple(TraceFact(at=row.at, what=row.what, detail=_DETAIL.decode(row.detail)) for row in rows)
