"""Store an operator, who may have an account already."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement

_STORE = Statement("""
INSERT INTO users AS u (id, student_id, password_hash, created_at, updated_at, role, one_time_until)
VALUES (CAST(:user_id AS uuid), CAST(:student_id AS text), CAST(:password_hash AS text),
    CAST(:now AS timestamptz), :now, 'operator', CAST(:one_time_until AS timestamptz))
ON CONFLICT (student_id) DO UPDATE SET
    password_hash = excluded.password_hash, one_time_until = excluded.one_time_until,
    role = 'operator', disabled_at = NULL, updated_at = :now
RETURNING u.id
""")

_EXISTS = Statement("SELECT FROM users WHERE student_id = CAST(:student_id AS text)")


async def has_account(connection: AsyncConnection, student_id: str) -> bool:
    return bool(await _EXISTS.rows(connection, {"student_id": student_id}))


async def store_operator(
    connection: AsyncConnection,
    student_id: str,
    *,
    user_id: UUID,
    password_hash: str,
    one_time_until: datetime | None,
    now: datetime,
) -> UUID:
    """Create the account with `user_id`, or make the existing one an enabled operator; return its id."""
    values = {
        "student_id": student_id,
        "user_id": user_id,
        "password_hash": password_hash,
        "one_time_until": one_time_until,
        "now": now,
    }
    [row] = await _STORE.rows(connection, values)
    return UUID(int=row.id.int)
