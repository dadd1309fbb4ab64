"""Delete rows that have ended, in bounded batches that skip locked rows."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement

_DELETE_EXPIRED_TOKENS = Statement("""
DELETE FROM refresh_tokens WHERE id IN (
    SELECT id FROM refresh_tokens WHERE expires_at <= CAST(:now AS timestamptz)
    ORDER BY expires_at LIMIT CAST(:limit AS integer) FOR UPDATE SKIP LOCKED)
RETURNING 1
""")

_DELETE_ENDED_WINDOWS = Statement("""
DELETE FROM login_windows WHERE student_id IN (
    SELECT student_id FROM login_windows WHERE last_attempt_at <= CAST(:ended AS timestamptz)
    ORDER BY last_attempt_at LIMIT CAST(:limit AS integer) FOR UPDATE SKIP LOCKED)
RETURNING 1
""")


async def delete_expired_tokens(connection: AsyncConnection, *, now: datetime, limit: int) -> int:
    """Return the number of deleted rows; fewer than `limit` means that none are left."""
    return len(await _DELETE_EXPIRED_TOKENS.rows(connection, {"now": now, "limit": limit}))


async def delete_ended_windows(connection: AsyncConnection, *, ended: datetime, limit: int) -> int:
    """Delete windows whose last attempt was at `ended` or earlier; return their number."""
    return len(await _DELETE_ENDED_WINDOWS.rows(connection, {"ended": ended, "limit": limit}))
