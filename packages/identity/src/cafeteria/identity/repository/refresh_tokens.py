"""Store how a refresh token is used. A transaction locks a token's family by the row of the family's first token."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.identity.domain import NewRefreshToken, RefreshToken
from cafeteria.identity.repository.rows import to_account
from cafeteria.identity.tables import RefreshTokenRow

# transaction_timestamp() is the beginning of this transaction, by the same clock as used_at: the wait for the lock does
# not count, and for a request that ran at the same time as the first use the result is negative.
_LOCK_REFRESH_TOKEN = Statement("""
SELECT t.id AS token_id, t.family, t.expires_at, t.successors,
       coalesce(f.last_used_at, f.created_at) AS last_used_at,
       transaction_timestamp() - t.used_at AS used_for,
       f.revoked_at IS NOT NULL AS is_family_revoked,
       u.id AS user_id, u.student_id, u.role, u.full_name, u.password_hash, u.disabled_at IS NOT NULL AS is_disabled,
       u.one_time_until
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

_MARK_SESSION_USED = Statement("""
UPDATE refresh_tokens SET
    last_used_at = greatest(last_used_at, CAST(:at AS timestamptz)),
    access_expires_at = greatest(access_expires_at, CAST(:access_expires_at AS timestamptz))
WHERE id = CAST(:session AS uuid)
""")

_REVOKE_FAMILY = Statement("""
UPDATE refresh_tokens SET revoked_at = CAST(:now AS timestamptz)
WHERE id = CAST(:family AS uuid) AND revoked_at IS NULL
""")

_REVOKE_FAMILY_OF = Statement("""
UPDATE refresh_tokens SET revoked_at = CAST(:now AS timestamptz)
WHERE id = (SELECT family FROM refresh_tokens WHERE token_hash = CAST(:token_hash AS bytea))
  AND revoked_at IS NULL
RETURNING id AS session, (SELECT student_id FROM users WHERE users.id = user_id) AS student_id
""")


async def lock_refresh_token(connection: AsyncConnection, token_hash: bytes) -> RefreshToken | None:
    """Lock the token and its family until the transaction ends."""
    rows = await _LOCK_REFRESH_TOKEN.rows(connection, {"token_hash": token_hash})
    if not rows:
        return None
    row = rows[0]
    return RefreshToken(
        token_id=row.token_id,
        family=row.family,
        account=to_account(row),
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        used_for=row.used_for,
        successors=row.successors,
        is_family_revoked=row.is_family_revoked,
    )


async def rotate_refresh_token(
    connection: AsyncConnection, *, used: UUID, successor: NewRefreshToken
) -> None:
    await _MARK_USED.rows(connection, {"token_id": used})
    session = {
        "session": successor.family,
        "at": successor.created_at,
        "access_expires_at": successor.access_expires_at,
    }
    await _MARK_SESSION_USED.rows(connection, session)
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


async def revoke_family_of(
    connection: AsyncConnection, token_hash: bytes, *, now: datetime
) -> tuple[UUID, str] | None:
    """Revoke the token's family; return its session and its student id.

    None for an unknown token, or one of a family that has ended: nothing changes.
    """
    rows = await _REVOKE_FAMILY_OF.rows(connection, {"token_hash": token_hash, "now": now})
    return (rows[0].session, rows[0].student_id) if rows else None
