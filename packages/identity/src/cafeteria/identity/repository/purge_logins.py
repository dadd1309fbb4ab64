"""Delete rows that have ended, in bounded batches that skip locked rows."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.identity.domain import ACCESS_TOKEN_MARGIN

# The first token of a session stays while the session may have a valid access token, which its end would have to revoke.
_DELETE_EXPIRED_TOKENS = Statement("""
DELETE FROM refresh_tokens WHERE id IN (
    SELECT id FROM refresh_tokens WHERE expires_at <= CAST(:now AS timestamptz)
      AND coalesce(access_expires_at + CAST(:margin AS interval) <= :now, true)
    ORDER BY expires_at LIMIT CAST(:limit AS integer) FOR UPDATE SKIP LOCKED)
RETURNING 1
""")

# The first token goes last: the others are found by it.
_DELETE_IDLE_TOKENS = Statement("""
DELETE FROM refresh_tokens WHERE id IN (
    SELECT token.id FROM refresh_tokens AS session JOIN refresh_tokens AS token ON token.family = session.id
    WHERE session.id = session.family AND session.last_used_at <= CAST(:unused_since AS timestamptz)
      AND coalesce(session.access_expires_at + CAST(:margin AS interval) <= CAST(:now AS timestamptz), true)
    ORDER BY session.last_used_at, session.id, token.id = session.id
    LIMIT CAST(:limit AS integer) FOR UPDATE OF token SKIP LOCKED)
RETURNING 1
""")

_DELETE_ENDED_WINDOWS = Statement("""
DELETE FROM login_windows WHERE student_id IN (
    SELECT student_id FROM login_windows WHERE last_attempt_at <= CAST(:ended AS timestamptz)
    ORDER BY last_attempt_at LIMIT CAST(:limit AS integer) FOR UPDATE SKIP LOCKED)
RETURNING 1
""")


_DELETE_ENDED_SENDER_WINDOWS = Statement("""
DELETE FROM sender_windows WHERE sender IN (
    SELECT sender FROM sender_windows WHERE started_at <= CAST(:ended AS timestamptz)
    ORDER BY started_at LIMIT CAST(:limit AS integer) FOR UPDATE SKIP LOCKED)
RETURNING 1
""")

# The service's role may delete from the audit by this function alone, which keeps a week whatever it is told.
_PURGE_AUDIT = Statement("""
SELECT purge_login_attempts(CAST(:before AS timestamptz), CAST(:limit AS integer)) AS deleted
""")


async def delete_expired_tokens(connection: AsyncConnection, *, now: datetime, limit: int) -> int:
    """Return the number of deleted rows; fewer than `limit` means that none are left."""
    values = {"now": now, "margin": ACCESS_TOKEN_MARGIN, "limit": limit}
    return len(await _DELETE_EXPIRED_TOKENS.rows(connection, values))


async def delete_idle_tokens(
    connection: AsyncConnection, *, now: datetime, unused_since: datetime, limit: int
) -> int:
    """Delete tokens of sessions that were not used after `unused_since`; return their number."""
    values = {"now": now, "margin": ACCESS_TOKEN_MARGIN, "unused_since": unused_since, "limit": limit}
    return len(await _DELETE_IDLE_TOKENS.rows(connection, values))


async def delete_ended_windows(connection: AsyncConnection, *, ended: datetime, limit: int) -> int:
    """Delete windows whose last attempt was at `ended` or earlier; return their number."""
    return len(await _DELETE_ENDED_WINDOWS.rows(connection, {"ended": ended, "limit": limit}))


async def delete_ended_sender_windows(connection: AsyncConnection, *, ended: datetime, limit: int) -> int:
    """Delete windows of devices and networks that began at `ended` or earlier; return their number."""
    return len(await _DELETE_ENDED_SENDER_WINDOWS.rows(connection, {"ended": ended, "limit": limit}))


async def delete_old_attempts(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Delete audit rows of `before` or earlier, the oldest first; return their number."""
    [row] = await _PURGE_AUDIT.rows(connection, {"before": before, "limit": limit})
    return int(row.deleted)
