"""Delete old idempotency keys, in batches that skip what another replica deletes."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.chassis.runtime.ids import earliest_id

_PURGE = Statement("""
DELETE FROM gateway.idempotency_keys WHERE id IN (
    SELECT k.id FROM gateway.idempotency_keys AS k JOIN gateway.orders AS o ON o.id = k.order_id
    WHERE k.id < :before AND o.status IN ('REJECTED', 'CANCELLED', 'COLLECTED', 'READY')
    ORDER BY k.id LIMIT :limit FOR UPDATE OF k SKIP LOCKED
)
RETURNING id
""")


async def purge_keys(connection: AsyncConnection, *, made_before: datetime, limit: int) -> int:
    """Delete keys whose order has ended or is READY; return how many. Their ids (UUIDv7) hold their creation times."""
    return len(await _PURGE.rows(connection, {"before": earliest_id(made_before), "limit": limit}))
