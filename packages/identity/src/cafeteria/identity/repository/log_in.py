"""Count a login attempt before the hash; audit it afterwards, and open the session of a right password: a statement each."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.identity import LoginOutcome
from cafeteria.identity.domain import (
    MAX_LIVE_SESSIONS,
    Account,
    Attempt,
    LoginClient,
    LoginLimits,
    LoginWindow,
    NewSession,
)
from cafeteria.identity.errors import LoginLimit
from cafeteria.identity.repository.rows import to_account
from cafeteria.identity.token_issuer import hash_refresh_token


class CountedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """`refused_by` is None for an attempt within the limits, which is counted. `sender` is the device or network."""

    refused_by: LoginLimit | None
    sender: str
    is_known_device: bool
    user_id: UUID | None
    account: Account | None


_FAILURES = frozenset({LoginOutcome.WRONG_PASSWORD, LoginOutcome.UNKNOWN_USER, LoginOutcome.DISABLED})
"""What a network's limit counts; they look alike to the client. A right one-time password is none of them."""

# The statement judges all limits. A known device is counted in its own row, any other attempt in the row of the student
# id, whose lock decides among simultaneous ones; a refused attempt changes nothing. The failures of the network are only
# read: record_attempt counts them. `refused_by` of a student id may be a moment old, and decides only the words.
_COUNT_ATTEMPT = Statement("""
WITH known AS (
    SELECT 'device ' || coalesce(CAST(:device AS uuid), (
        SELECT t.family FROM refresh_tokens AS t
        JOIN refresh_tokens AS f ON f.id = t.family
        JOIN users AS u ON u.id = t.user_id
        WHERE t.token_hash = CAST(:token_hash AS bytea) AND t.used_at IS NULL
          AND t.expires_at > CAST(:now AS timestamptz) AND f.revoked_at IS NULL
          AND u.student_id = CAST(:student_id AS text))) AS device
), sender AS (
    SELECT device, device IS NULL AND EXISTS (
        SELECT FROM sender_windows WHERE sender = CAST(:network AS text)
          AND started_at > CAST(:ended AS timestamptz) AND attempts >= CAST(:failures_per_client AS integer)
        ) AS is_exhausted
    FROM known
), counted_device AS (
    INSERT INTO sender_windows AS w (sender, started_at, attempts)
    SELECT device, :now, 1 FROM sender WHERE device IS NOT NULL
    ON CONFLICT (sender) DO UPDATE SET
        started_at = CASE WHEN w.started_at > :ended THEN w.started_at ELSE :now END,
        attempts = CASE WHEN w.started_at > :ended THEN w.attempts + 1 ELSE 1 END
    WHERE w.started_at <= :ended OR w.attempts < CAST(:per_client AS integer)
    RETURNING 1
), counted AS (
    INSERT INTO login_windows AS w (student_id, started_at, attempts, last_attempt_at, clients)
    SELECT :student_id, :now, 1, :now, jsonb_build_object(
        CAST(:client AS text), jsonb_build_object('since', :now, 'attempts', 1))
    FROM sender WHERE device IS NULL AND NOT is_exhausted
    ON CONFLICT (student_id) DO UPDATE SET
        started_at = CASE WHEN w.started_at > :ended THEN w.started_at ELSE :now END,
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
          OR CAST(w.clients->:client->>'attempts' AS integer) < :per_client, true)
    RETURNING 1
)
SELECT coalesce(s.device, :network) AS sender, s.device IS NOT NULL AS is_known_device,
    CASE WHEN EXISTS (SELECT FROM counted) OR EXISTS (SELECT FROM counted_device) THEN NULL
         WHEN s.device IS NOT NULL THEN 'device'
         WHEN s.is_exhausted THEN 'network'
         WHEN EXISTS (SELECT FROM login_windows WHERE student_id = :student_id
                      AND started_at > :ended AND attempts >= :per_student) THEN 'student'
         ELSE 'client' END AS refused_by,
    u.id AS user_id, u.student_id, u.role, u.full_name, u.password_hash, u.disabled_at IS NOT NULL AS is_disabled,
    u.one_time_until
FROM sender AS s LEFT JOIN users AS u ON u.student_id = :student_id
""")

# The audit row, which both statements write.
_INSERT_ATTEMPT = """
    INSERT INTO login_attempts
        (id, user_id, attempted_at, success, response_time_ms, student_id, client_ip, outcome)
    SELECT CAST(:attempt_id AS uuid), CAST(:user_id AS uuid), CAST(:attempted_at AS timestamptz),
        CAST(:outcome AS text) = 'succeeded', CAST(:response_time_ms AS integer), CAST(:student_id AS text),
        CAST(:client_ip AS inet), :outcome"""

# One statement writes the audit row; for a wrong password from an unknown device it counts the failure of the network,
# too. For a refused attempt, and for a failure that the network's limit does not allow any more, the counted attempts are
# returned: from them follows when the next one is allowed.
_RECORD_ATTEMPT = Statement(
    f"""
WITH audit_row AS ({_INSERT_ATTEMPT}
    WHERE CAST(:is_audited AS boolean)
), failure AS (
    INSERT INTO sender_windows AS w (sender, started_at, attempts)
    SELECT CAST(:sender AS text), CAST(:now AS timestamptz), 1 WHERE CAST(:is_network_failure AS boolean)
    ON CONFLICT (sender) DO UPDATE SET
        started_at = CASE WHEN w.started_at > CAST(:ended AS timestamptz) THEN w.started_at ELSE :now END,
        attempts = CASE WHEN w.started_at > :ended THEN w.attempts + 1 ELSE 1 END
    WHERE w.started_at <= :ended OR w.attempts < CAST(:sender_limit AS integer)
    RETURNING 1
)
SELECT w.started_at, coalesce(w.attempts, 0) AS attempts,
    CAST(w.clients->CAST(:client AS text)->>'since' AS timestamptz) AS client_started_at,
    coalesce(CAST(w.clients->:client->>'attempts' AS integer), 0) AS client_attempts,
    s.started_at AS sender_started_at, coalesce(s.attempts, 0) AS sender_attempts, :sender_limit AS sender_limit
FROM (SELECT) AS request
LEFT JOIN login_windows AS w ON w.student_id = :student_id AND NOT CAST(:is_known_device AS boolean)
LEFT JOIN sender_windows AS s ON s.sender = :sender
WHERE :outcome = 'throttled' OR :is_network_failure AND NOT EXISTS (SELECT FROM failure)
"""  # noqa: S608 - put together from constants
)

# Nothing is written for an account that was disabled, or whose password was changed, while this one was checked: FOR SHARE
# waits for such a change that is being committed, and then sees it. The oldest sessions above the limit end. The device
# becomes known, and its window continues that of its network: it gains no attempts.
_OPEN_SESSION = Statement(
    f"""
WITH opened AS (
    INSERT INTO refresh_tokens
        (id, family, user_id, token_hash, created_at, expires_at, last_used_at, access_expires_at, client_ip, user_agent)
    SELECT CAST(:session_id AS uuid), :session_id, id, CAST(:token_hash AS bytea), CAST(:created_at AS timestamptz),
        CAST(:expires_at AS timestamptz), :created_at, CAST(:access_expires_at AS timestamptz),
        CAST(:client_ip AS inet), CAST(:user_agent AS text)
    FROM users WHERE id = CAST(:user_id AS uuid) AND disabled_at IS NULL AND password_hash = CAST(:password_hash AS text)
    FOR SHARE
    RETURNING id
), audit_row AS ({_INSERT_ATTEMPT}
    FROM opened
), new_device AS (
    INSERT INTO sender_windows (sender, started_at, attempts)
    SELECT 'device ' || opened.id, CAST(w.clients->CAST(:client AS text)->>'since' AS timestamptz),
        CAST(w.clients->:client->>'attempts' AS integer)
    FROM opened JOIN login_windows AS w ON w.student_id = :student_id
    WHERE w.clients->:client IS NOT NULL AND CAST(:is_new_device AS boolean)
), ended AS (
    UPDATE refresh_tokens SET revoked_at = :created_at
    WHERE EXISTS (SELECT FROM opened) AND id IN (
        SELECT id FROM refresh_tokens
        WHERE user_id = :user_id AND id = family AND revoked_at IS NULL AND expires_at > :created_at
        ORDER BY id DESC OFFSET CAST(:others AS integer) FOR UPDATE)
    RETURNING id
)
SELECT ARRAY(SELECT id FROM ended) AS ended FROM opened
"""  # noqa: S608 - put together from constants
)


async def count_attempt(
    connection: AsyncConnection,
    *,
    student_id: str,
    client: LoginClient,
    limits: LoginLimits,
    now: datetime,
) -> CountedAttempt:
    """Count the attempt if the limits allow it, and read its account, in one statement."""
    token = client.refresh_token
    [row] = await _COUNT_ATTEMPT.rows(
        connection,
        {
            "student_id": student_id,
            "client": client.network,
            "network": f"network {client.network}",
            "device": client.device,
            "token_hash": hash_refresh_token(token) if token else None,
            "now": now,
            "ended": now - limits.window,
            "per_client": limits.per_client,
            "per_student": limits.per_student,
            "failures_per_client": limits.failures_per_client,
        },
    )
    return CountedAttempt(
        refused_by=LoginLimit(row.refused_by) if row.refused_by else None,
        sender=row.sender,
        is_known_device=row.is_known_device,
        user_id=row.user_id,
        account=None if row.user_id is None else to_account(row),
    )


async def record_attempt(
    connection: AsyncConnection,
    attempt: Attempt,
    counted: CountedAttempt,
    *,
    limits: LoginLimits,
    now: datetime,
    is_audited: bool = True,
) -> LoginWindow | None:
    """Write the audit row of an attempt that opens no session, and count a failure of the network.

    Return the counted attempts if a limit refuses the attempt: one that was throttled, or one whose network has reached
    its limit while its password was checked.
    """
    is_failure = attempt.outcome in _FAILURES
    values = {
        **_values_of(attempt),
        "is_audited": is_audited,
        "sender": counted.sender,
        "sender_limit": limits.per_client if counted.is_known_device else limits.failures_per_client,
        "is_known_device": counted.is_known_device,
        "is_network_failure": is_failure and not counted.is_known_device,
        "now": now,
        "ended": now - limits.window,
    }
    rows = await _RECORD_ATTEMPT.rows(connection, values)
    return LoginWindow(**rows[0]) if rows else None


async def open_session(
    connection: AsyncConnection, new: NewSession, attempt: Attempt, *, is_new_device: bool
) -> list[UUID] | None:
    """Store a session, its first token and the audit row; end the oldest sessions above MAX_LIVE_SESSIONS, and return their ids.

    None, and nothing is stored, if the account was changed meanwhile: it was disabled, or `password_hash` is not its hash.
    """
    values = {
        **_values_of(attempt),
        **{name: getattr(new, name) for name in new.__struct_fields__},
        "is_new_device": is_new_device,
        "others": MAX_LIVE_SESSIONS - 1,
    }
    rows = await _OPEN_SESSION.rows(connection, values)
    return rows[0].ended if rows else None


def _values_of(attempt: Attempt) -> dict[str, object]:
    return {
        "attempt_id": attempt.attempt_id,
        "user_id": attempt.user_id,
        "attempted_at": attempt.attempted_at,
        "response_time_ms": attempt.response_time_ms,
        "student_id": attempt.student_id,
        "client_ip": attempt.client_ip,
        "outcome": attempt.outcome.value,
        "client": LoginClient(address=attempt.client_ip).network,
    }
