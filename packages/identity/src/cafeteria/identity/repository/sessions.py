"""Open, list and end sessions, and read which ends the other services must still know.

A session is the row of its family's first token, which is also its lock. An ended session is a live revocation until the
last of its access tokens has expired everywhere.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Row, Statement
from cafeteria.contracts.identity import Revocation
from cafeteria.identity.domain import ACCESS_TOKEN_MARGIN, MAX_LIVE_SESSIONS, NewSession

# FOR SHARE waits for a change of the account that is being committed, and then sees it: a login that began before the
# account was disabled, or its password changed, opens no session after it.
_OPEN_SESSION = Statement("""
INSERT INTO refresh_tokens
    (id, family, user_id, token_hash, created_at, expires_at, last_used_at, access_expires_at, client_ip, user_agent)
SELECT CAST(:session_id AS uuid), :session_id, id, CAST(:token_hash AS bytea), CAST(:created_at AS timestamptz),
    CAST(:expires_at AS timestamptz), :created_at, CAST(:access_expires_at AS timestamptz),
    CAST(:client_ip AS inet), CAST(:user_agent AS text)
FROM users WHERE id = CAST(:user_id AS uuid) AND disabled_at IS NULL AND password_hash = CAST(:password_hash AS text)
FOR SHARE
RETURNING id
""")

_END_OLDEST = Statement("""
UPDATE refresh_tokens SET revoked_at = CAST(:now AS timestamptz)
WHERE id IN (
    SELECT id FROM refresh_tokens
    WHERE user_id = CAST(:user_id AS uuid) AND id = family AND revoked_at IS NULL AND expires_at > :now
    ORDER BY id DESC OFFSET CAST(:kept AS integer) FOR UPDATE)
RETURNING id
""")

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

_LIVE_REVOCATIONS = Statement("""
SELECT id AS session, access_expires_at + CAST(:margin AS interval) AS until FROM refresh_tokens
WHERE revoked_at IS NOT NULL AND access_expires_at > CAST(:now AS timestamptz) - :margin
  AND (access_expires_at, id) > (CAST(:after_until AS timestamptz) - :margin, CAST(:after_session AS uuid))
ORDER BY access_expires_at, id LIMIT CAST(:limit AS integer)
""")


async def open_session(connection: AsyncConnection, new: NewSession) -> bool:
    """Store a session and its first token; False, and nothing is stored, if the account was changed meanwhile.

    That is: it was disabled, or `password_hash` is not its hash any more.
    """
    return bool(
        await _OPEN_SESSION.rows(connection, {name: getattr(new, name) for name in new.__struct_fields__})
    )


async def end_oldest_sessions(connection: AsyncConnection, *, user_id: UUID, now: datetime) -> list[UUID]:
    """End the user's oldest live sessions above MAX_LIVE_SESSIONS; return their ids."""
    values = {"user_id": user_id, "now": now, "kept": MAX_LIVE_SESSIONS}
    return _ids(await _END_OLDEST.rows(connection, values))


async def end_sessions(
    connection: AsyncConnection, *, user_id: UUID, now: datetime, keep: UUID | None = None
) -> list[UUID]:
    """End all live sessions of a user except `keep`; return the ids of those that ended.

    Call it after the statement that changes the account, in one transaction: a login at the same time then either sees
    the change or has its session ended. After the commit, announce the ends (`Revocations.announce`).
    """
    values = {"user_id": user_id, "now": now, "keep": keep, "margin": ACCESS_TOKEN_MARGIN}
    return _ids(await _END_SESSIONS.rows(connection, values))


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
    return tuple(Revocation(session=UUID(int=row.session.int), until=row.until) for row in rows)


def _ids(rows: Sequence[Row]) -> list[UUID]:
    return [row.id for row in rows]
