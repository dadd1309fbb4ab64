"""SQL that marks statuses as delivered."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement

# Skips the rows that another replica marks at the same time.
_MARK_DELIVERED = Statement("""
UPDATE notification.notifications SET delivered_at = :now WHERE ctid = ANY(ARRAY(
    SELECT undelivered.row FROM unnest(CAST(:positions AS bigint[])) AS delivered (position)
    CROSS JOIN LATERAL (
        SELECT logged.ctid AS row FROM notification.notifications AS logged
        WHERE logged.position = delivered.position AND logged.delivered_at IS NULL FOR UPDATE SKIP LOCKED
    ) AS undelivered
))
""")


async def mark_delivered(connection: AsyncConnection, positions: Collection[int], *, now: datetime) -> None:
    """Store the time of delivery in the rows that have none."""
    await _MARK_DELIVERED.rows(connection, {"positions": sorted(positions), "now": now})
