"""SQL of the purge of old operations."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement

_DELETE = Statement("""
DELETE FROM stock.operations WHERE key IN (
    SELECT key FROM stock.operations WHERE created_at < CAST(:before AS timestamptz)
    ORDER BY created_at LIMIT CAST(:limit AS integer) FOR UPDATE SKIP LOCKED)
RETURNING 1
""")


async def delete_old(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Return how many rows were deleted; fewer than `limit` means that none are left."""
    return len(await _DELETE.rows(connection, {"before": before, "limit": limit}))
