"""List and end sessions, and read which ends the other services must still know.

A session is the row of its family's first token, which is also its lock. An ended session is a live revocation until the
last of its access tokens has expired everywhere.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Row, Statement
from cafeteria.contracts.identity import Revocation, SessionInfo
from cafeteria.identity.domain import ACCESS_TOKEN_MARGIN, MAX_LIVE_SESSIONS

_FIND_USER = Statement("SELECT id FROM users WHERE student_id = CAST(:student_id AS text)")

# A session that has expired may have an access token that has not.
_END_SESSIONS = Statement("""
UPDATE refresh_tokens SET revoked_at = CAST(:now AS timestamptz)
WHERE id IN (
    SELECT id FROM refresh_tokens
    WHERE user_id = CAST(:user_id AS uuid) AND id = family AND revoked_at IS NULL
      AND id IS DISTINCT FROM CAST(:keep AS uuid)
      AND greatest(expires_at, access_expires_at + CAST(:margin AS interval)) > :now
    ORDER BY id FOR UPDATE)
RETURNING id
""")

_END_SESSION = Statement("""
UPDATE refresh_tokens AS session SET revoked_at = coalesce(session.revoked_at, CAST(:now AS timestamptz))
FROM users WHERE users.student_id = CAST(:student_id AS text) AND session.user_id = users.id
  AND session.id = CAST(:session AS uuid) AND session.id = session.family
RETURNING session.id
""")

# An account without a live session gives one row, an unknown one none.
_LIVE_SESSIONS = Statement("""
SELECT session.id, session.created_at, session.last_used_at, session.user_agent, host(session.client_ip) AS client_ip,
    least(session.expires_at, session.last_used_at + CAST(:idle AS interval)) AS expires_at
FROM users LEFT JOIN refresh_tokens AS session
    ON session.user_id = users.id AND session.id = session.family AND session.revoked_at IS NULL
    AND least(session.expires_at, session.last_used_at + :idle) > CAST(:now AS timestamptz)
WHERE users.student_id = CAST(:student_id AS text)
ORDER BY session.id DESC LIMIT CAST(:limit AS integer)
""")

_LIVE_REVOCATIONS = Statement("""
SELECT id AS session, access_expires_at + CAST(:margin AS interval) AS until FROM refresh_tokens
WHERE revoked_at IS NOT NULL AND access_expires_at > CAST(:now AS timestamptz) - :margin
  AND (access_expires_at, id) > (CAST(:after_until AS timestamptz) - :margin, CAST(:after_session AS uuid))
ORDER BY access_expires_at, id LIMIT CAST(:limit AS integer)
""")


async def find_user(connection: AsyncConnection, student_id: str) -> UUID | None:
    rows = await _FIND_USER.rows(connection, {"student_id": student_id})
    return rows[0].id if rows else None


async def end_sessions(
    connection: AsyncConnection, *, user_id: UUID, now: datetime, keep: UUID | None = None
) -> list[UUID]:
    """End all live sessions of a user except `keep`; return the ids of those that ended.

    Call it after the statement that changes the account, in one transaction: a login at the same time then either sees
    the change or has its session ended. After the commit, announce the ends (`Revocations.announce`).
    """
    values = {"user_id": user_id, "now": now, "keep": keep, "margin": ACCESS_TOKEN_MARGIN}
    return _ids(await _END_SESSIONS.rows(connection, values))


async def end_session(connection: AsyncConnection, session: UUID, *, student_id: str, now: datetime) -> bool:
    """End one session of this student, which may have ended before; False without such a session."""
    values = {"session": session, "student_id": student_id, "now": now}
    return bool(await _END_SESSION.rows(connection, values))


async def live_sessions(
    connection: AsyncConnection, student_id: str, *, now: datetime, idle: timedelta
) -> list[Row] | None:
    """Return the live sessions of a student, the newest first, at most MAX_LIVE_SESSIONS; None for an unknown student."""
    values = {"student_id": student_id, "now": now, "idle": idle, "limit": MAX_LIVE_SESSIONS}
    rows = await _LIVE_SESSIONS.rows(connection, values)
    return [row for row in rows if row.id is not None] if rows else None


def to_session(row: Row, *, current: UUID) -> SessionInfo:
    """Return a session as people see it. `current` is the session of the one who asks."""
    return SessionInfo(
        id=row.id,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        is_current=row.id == current,
        client_ip=row.client_ip,
        user_agent=row.user_agent,
    )


async def read_revocations(
    connection: AsyncConnection, *, now: datetime, after: Revocation | None, limit: int
) -> tuple[Revocation, ...]:
    """Return the live revocations that follow `after`, at most `limit`, in the order of their `until` and session."""
    values = {
        "now": now,
        "margin": ACCESS_TOKEN_MARGIN,
        "after_until": after.until if after else now,
        "after_session": after.session if after else UUID(int=0),
        "limit": limit,
    }
    rows = await _LIVE_REVOCATIONS.rows(connection, values)
    return tuple(Revocation(session=session, until=until) for session, until in rows)


def _ids(rows: Sequence[Row]) -> list[UUID]:
    return [row.id for row in rows]
