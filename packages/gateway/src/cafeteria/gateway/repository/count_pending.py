"""Count PENDING orders by a partial index of unfinished orders."""

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement

_COUNT = Statement("""
SELECT count(*) AS pending FROM (
    SELECT FROM gateway.orders WHERE next_ask_at IS NOT NULL AND status = 'PENDING' LIMIT :limit
) AS pending
""")


async def count_pending(connection: AsyncConnection, *, limit: int) -> int:
    """Count no further than `limit`."""
    [counted] = await _COUNT.rows(connection, {"limit": limit})
    return int(counted.pending)
