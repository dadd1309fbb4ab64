"""SQL of what notification knows of one order: when each status was logged, and when a stream first showed it."""

from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.ops import TraceFact

_FACTS = Statement("""
SELECT f.at, f.what, CAST(jsonb_build_object('status', n.status_sent) AS text) AS detail
FROM notification.notifications AS n
CROSS JOIN LATERAL (VALUES (n.sent_at, 'logged'), (n.delivered_at, 'delivered')) AS f (at, what)
WHERE n.order_id = CAST(:order_id AS uuid) AND f.at IS NOT NULL
ORDER BY f.at, n.version
""")
_DETAIL = msgspec.json.Decoder(dict[str, str])


async def read_facts(connection: AsyncConnection, order_id: UUID) -> tuple[TraceFact, ...]:
    """Return the facts by time; none for an order that was never heard of."""
    rows = await _FACTS.rows(connection, {"order_id": order_id})
    return tuple(TraceFact(at=row.at, what=row.what, detail=_DETAIL.decode(row.detail)) for row in rows)
