"""All of identity's SQL. A login costs one statement before the hash and one after, each its own transaction.

Rows are locked in one order: a refresh token's family is locked by its first token's row.
"""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Row, Statement
from cafeteria.contracts.values import Role
from cafeteria.identity.domain import (
    Account,
    Attempt,
    LoginLimits,
    LoginWindow,
    NewRefreshToken,
    Profile,
    RefreshToken,
)
from cafeteria.identity.tables import RefreshTokenRow, UserRow

UNKNOWN_CLIENT = "unknown"
"""The window of clients without an address, as behind a Unix socket."""


class CountedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """`is_allowed`: it was within the limits, and is counted now."""

    is_allowed: bool
    user_id: UUID | None
    account: Account | None


# Both limits are judged under the lock of the student id's one row: a refused attempt changes nothing.
_COUNT_ATTEMPT = Statement("""
WITH counted AS (
    INSERT INTO login_windows AS w (student_id, started_at, attempts, last_attempt_at, clients)
    VALUES (
        CAST(:student_id AS text), CAST(:now AS timestamptz), 1, CAST(:now AS timestamptz),
        jsonb_build_object(
            CAST(:client AS text), jsonb_build_object('since', CAST(:now AS timestamptz), 'attempts', 1))
    )
    ON CONFLICT (student_id) DO UPDATE SET
        started_at = CASE WHEN w.started_at > CAST(:ended AS timestamptz) THEN w.started_at ELSE :now END,
        attempts = CASE WHEN w.started_at > :ended THEN w.attempts + 1 ELSE 1 END,
        last_attempt_at = :now,
        clients = (
            SELECT coalesce(jsonb_object_agg(c.key, c.value), '{}') FROM jsonb_each(w.clients) AS c
            WHERE CAST(c.value->>'since' AS timestamptz) > :ended
        ) || CASE
            WHEN CAST(w.clients->:client->>'since' AS timestamptz) > :ended THEN jsonb_build_object(
                :client, jsonb_build_object(
                    'since', w.clients->:client->'since',
                    'attempts', CAST(w.clients->:client->>'attempts' AS integer) + 1))
            ELSE excluded.clients END
    WHERE (w.started_at <= :ended OR w.attempts < CAST(:per_student AS integer))
      AND coalesce(
          CAST(w.clients->:client->>'since' AS timestamptz) <= :ended
          OR CAST(w.clients->:client->>'attempts' AS integer) < CAST(:per_client AS integer), true)
    RETURNING student_id
)
SELECT EXISTS (SELECT FROM counted) AS is_allowed,
       u.id AS user_id, u.student_id, u.role, u.password_hash, u.disabled_at IS NOT NULL AS is_disabled
FROM (SELECT) AS asked LEFT JOIN users AS u ON u.student_id = :student_id
""")

# What a login leaves behind, in one statement: the audit row, for a right password the session that it opened,
# and for a refused attempt the answer to when the next one will count.
_RECORD_ATTEMPT = Statement("""
WITH recorded AS (
    INSERT INTO login_attempts
        (id, user_id, attempted_at, success, response_time_ms, student_id, client_ip, outcome)
    SELECT CAST(:attempt_id AS uuid), CAST(:user_id AS uuid), CAST(:attempted_at AS timestamptz),
        CAST(:outcome AS text) = 'succeeded', CAST(:response_time_ms AS integer), CAST(:student_id AS text),
        CAST(:client_ip AS inet), :outcome
    WHERE CAST(:is_audited AS boolean)
), opened AS (
    INSERT INTO refresh_tokens (id, family, user_id, token_hash, created_at, expires_at)
    SELECT CAST(:token_id AS uuid), CAST(:family AS uuid), :user_id, CAST(:token_hash AS bytea),
        CAST(:created_at AS timestamptz), CAST(:expires_at AS timestamptz)
    WHERE :token_id IS NOT NULL
)
SELECT started_at, attempts,
    CAST(clients->CAST(:client AS text)->>'since' AS timestamptz) AS client_started_at,
    coalesce(CAST(clients->:client->>'attempts' AS integer), 0) AS client_attempts
FROM login_windows WHERE student_id = :student_id AND :outcome = 'throttled'
""")

# transaction_timestamp() is when this transaction began, used_at is read off the same clock: what a request waits
# for the lock does not count, and for one that ran alongside the first use the time is negative.
_LOCK_REFRESH_TOKEN = Statement("""
SELECT t.id AS token_id, t.family, t.expires_at, t.successors,
       transaction_timestamp() - t.used_at AS used_for,
       f.revoked_at IS NOT NULL AS is_family_revoked,
       u.id AS user_id, u.student_id, u.role, u.password_hash, u.disabled_at IS NOT NULL AS is_disabled
FROM refresh_tokens AS t
JOIN refresh_tokens AS f ON f.id = t.family
JOIN users AS u ON u.id = t.user_id
WHERE t.token_hash = CAST(:token_hash AS bytea)
FOR UPDATE OF f, t
""")

_MARK_USED = Statement("""
UPDATE refresh_tokens SET used_at = coalesce(used_at, clock_timestamp()), successors = successors + 1
WHERE id = CAST(:token_id AS uuid)
""")

_REVOKE_FAMILY = Statement("""
UPDATE refresh_tokens SET revoked_at = CAST(:now AS timestamptz)
WHERE id = CAST(:family AS uuid) AND revoked_at IS NULL
""")

_REVOKE_FAMILY_OF = Statement("""
UPDATE refresh_tokens SET revoked_at = CAST(:now AS timestamptz)
WHERE id = (SELECT family FROM refresh_tokens WHERE token_hash = CAST(:token_hash AS bytea))
  AND revoked_at IS NULL
""")

_DELETE_EXPIRED_TOKENS = Statement("""
DELETE FROM refresh_tokens WHERE id IN (
    SELECT id FROM refresh_tokens WHERE expires_at <= CAST(:now AS timestamptz)
    ORDER BY expires_at LIMIT CAST(:limit AS integer) FOR UPDATE SKIP LOCKED)
RETURNING 1
""")

_DELETE_OLD_WINDOWS = Statement("""
DELETE FROM login_windows WHERE student_id IN (
    SELECT student_id FROM login_windows WHERE last_attempt_at <= CAST(:ended AS timestamptz)
    ORDER BY last_attempt_at LIMIT CAST(:limit AS integer) FOR UPDATE SKIP LOCKED)
RETURNING 1
""")


async def count_attempt(
    connection: AsyncConnection, *, student_id: str, client: str | None, limits: LoginLimits, now: datetime
) -> CountedAttempt:
    """Count the attempt if the limits allow it, and fetch whom it is about, in one statement."""
    [row] = await _COUNT_ATTEMPT.rows(
        connection,
        {
            "student_id": student_id,
            "client": client or UNKNOWN_CLIENT,
            "now": now,
            "ended": now - limits.window,
            "per_client": limits.per_client,
            "per_student": limits.per_student,
        },
    )
    account = None if row.user_id is None else _account(row)
    return CountedAttempt(is_allowed=row.is_allowed, user_id=row.user_id, account=account)


async def record_attempt(
    connection: AsyncConnection,
    attempt: Attempt,
    *,
    session: NewRefreshToken | None = None,
    is_audited: bool = True,
) -> LoginWindow | None:
    """Write the audit row and the session; for a throttled attempt return what the limits have counted."""
    values = {
        "attempt_id": attempt.attempt_id,
        "user_id": attempt.user_id,
        "attempted_at": attempt.attempted_at,
        "response_time_ms": attempt.response_time_ms,
        "student_id": attempt.student_id,
        "client_ip": attempt.client_ip,
        "outcome": attempt.outcome.value,
        "is_audited": is_audited,
        "client": attempt.client_ip or UNKNOWN_CLIENT,
        "token_id": session.token_id if session else None,
        "family": session.family if session else None,
        "token_hash": session.token_hash if session else None,
        "created_at": session.created_at if session else None,
        "expires_at": session.expires_at if session else None,
    }
    rows = await _RECORD_ATTEMPT.rows(connection, values)
    return LoginWindow(**rows[0]) if rows else None


async def replace_password_hash(
    connection: AsyncConnection, *, user_id: UUID, old: str, new: str, now: datetime
) -> None:
    """Only while the old hash is in place: a password that was changed meanwhile stays changed."""
    await connection.execute(
        update(UserRow)
        .where(UserRow.id == user_id, UserRow.password_hash == old)
        .values(password_hash=new, updated_at=now)
    )


async def lock_refresh_token(connection: AsyncConnection, token_hash: bytes) -> RefreshToken | None:
    """Lock the token and its family until the transaction ends."""
    rows = await _LOCK_REFRESH_TOKEN.rows(connection, {"token_hash": token_hash})
    if not rows:
        return None
    row = rows[0]
    return RefreshToken(
        token_id=row.token_id,
        family=row.family,
        account=_account(row),
        expires_at=row.expires_at,
        used_for=row.used_for,
        successors=row.successors,
        is_family_revoked=row.is_family_revoked,
    )


async def rotate_refresh_token(
    connection: AsyncConnection, *, used: UUID, successor: NewRefreshToken
) -> None:
    await _MARK_USED.rows(connection, {"token_id": used})
    await connection.execute(
        insert(RefreshTokenRow).values(
            id=successor.token_id,
            family=successor.family,
            user_id=successor.user_id,
            token_hash=successor.token_hash,
            created_at=successor.created_at,
            expires_at=successor.expires_at,
        )
    )


async def revoke_family(connection: AsyncConnection, family: UUID, *, now: datetime) -> None:
    await _REVOKE_FAMILY.rows(connection, {"family": family, "now": now})


async def revoke_family_of(connection: AsyncConnection, token_hash: bytes, *, now: datetime) -> None:
    """A token that is unknown, or whose family has ended, changes nothing."""
    await _REVOKE_FAMILY_OF.rows(connection, {"token_hash": token_hash, "now": now})


async def find_profile(connection: AsyncConnection, student_id: str) -> Profile | None:
    """None also for a disabled user."""
    query = select(UserRow.student_id, UserRow.role, UserRow.full_name).where(
        UserRow.student_id == student_id, UserRow.disabled_at.is_(None)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    return Profile(student_id=row.student_id, role=Role(row.role), full_name=row.full_name)


async def insert_user(
    connection: AsyncConnection, profile: Profile, *, user_id: UUID, password_hash: str, now: datetime
) -> bool:
    """False when the student id is taken; then nothing is written."""
    statement = (
        upsert(UserRow)
        .values(
            id=user_id,
            student_id=profile.student_id,
            password_hash=password_hash,
            created_at=now,
            updated_at=now,
            full_name=profile.full_name,
            role=profile.role.value,
        )
        .on_conflict_do_nothing(index_elements=[UserRow.student_id])
        .returning(UserRow.id)
    )
    return (await connection.execute(statement)).one_or_none() is not None


async def delete_expired_tokens(connection: AsyncConnection, *, now: datetime, limit: int) -> int:
    """Return how many; fewer than `limit` means that none are left."""
    return len(await _DELETE_EXPIRED_TOKENS.rows(connection, {"now": now, "limit": limit}))


async def delete_old_windows(connection: AsyncConnection, *, ended: datetime, limit: int) -> int:
    """Delete windows without an attempt since `ended`; return how many."""
    return len(await _DELETE_OLD_WINDOWS.rows(connection, {"ended": ended, "limit": limit}))


def _account(row: Row) -> Account:
    return Account(
        user_id=row.user_id,
        student_id=row.student_id,
        role=Role(row.role),
        password_hash=row.password_hash,
        is_disabled=row.is_disabled,
    )
