"""Count a login attempt, and audit it: one statement before the hash and one after it."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.identity.domain import Account, Attempt, LoginLimits, LoginWindow
from cafeteria.identity.repository.rows import to_account

UNKNOWN_CLIENT = "unknown"
"""The key of the window of all clients without an address, as behind a Unix socket."""


class CountedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """`is_allowed`: the attempt is within the limits, and is counted."""

    is_allowed: bool
    user_id: UUID | None
    account: Account | None


# The statement judges both limits under the lock of the student id's one row. A refused attempt changes nothing.
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
       u.id AS user_id, u.student_id, u.role, u.password_hash, u.disabled_at IS NOT NULL AS is_disabled, u.one_time_until
FROM (SELECT) AS request LEFT JOIN users AS u ON u.student_id = :student_id
""")

# One statement writes the audit row; for a throttled attempt it returns the counted attempts, from which follows when
# the next one is allowed.
_RECORD_ATTEMPT = Statement("""
WITH audit_row AS (
    INSERT INTO login_attempts
        (id, user_id, attempted_at, success, response_time_ms, student_id, client_ip, outcome)
    SELECT CAST(:attempt_id AS uuid), CAST(:user_id AS uuid), CAST(:attempted_at AS timestamptz),
        CAST(:outcome AS text) = 'succeeded', CAST(:response_time_ms AS integer), CAST(:student_id AS text),
        CAST(:client_ip AS inet), :outcome
    WHERE CAST(:is_audited AS boolean)
)
SELECT started_at, attempts,
    CAST(clients->CAST(:client AS text)->>'since' AS timestamptz) AS client_started_at,
    coalesce(CAST(clients->:client->>'attempts' AS integer), 0) AS client_attempts
FROM login_windows WHERE student_id = :student_id AND :outcome = 'throttled'
""")


async def count_attempt(
    connection: AsyncConnection, *, student_id: str, client: str | None, limits: LoginLimits, now: datetime
) -> CountedAttempt:
    """Count the attempt if the limits allow it, and read its account, in one statement."""
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
    account = None if row.user_id is None else to_account(row)
    return CountedAttempt(is_allowed=row.is_allowed, user_id=row.user_id, account=account)


async def record_attempt(
    connection: AsyncConnection,
    attempt: Attempt,
    *,
    is_audited: bool = True,
) -> LoginWindow | None:
    """Write the audit row; for a throttled attempt return the counted attempts."""
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
    }
    rows = await _RECORD_ATTEMPT.rows(connection, values)
    return LoginWindow(**rows[0]) if rows else None
