"""Store many accounts in one transaction."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.identity.domain import Profile

_EXISTING = Statement("SELECT student_id FROM users WHERE student_id = ANY(CAST(:student_ids AS text[]))")

_INSERT = Statement("""
INSERT INTO users (id, student_id, password_hash, created_at, updated_at, full_name, role, one_time_until)
SELECT id, student_id, password_hash, CAST(:now AS timestamptz), :now, full_name, role, one_time_until
FROM unnest(
    CAST(:ids AS uuid[]), CAST(:student_ids AS text[]), CAST(:password_hashes AS text[]),
    CAST(:full_names AS text[]), CAST(:roles AS text[]), CAST(:one_time_untils AS timestamptz[])
) AS new(id, student_id, password_hash, full_name, role, one_time_until)
ON CONFLICT (student_id) DO NOTHING
RETURNING student_id
""")


class NewAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account to store. With `one_time_until` its password is a one-time password."""

    user_id: UUID
    profile: Profile
    password_hash: str
    one_time_until: datetime | None


async def existing_ids(connection: AsyncConnection, student_ids: Collection[str]) -> set[str]:
    """Return those that have an account."""
    rows = await _EXISTING.rows(connection, {"student_ids": list(student_ids)})
    return {row.student_id for row in rows}


async def insert_accounts(
    connection: AsyncConnection, accounts: Sequence[NewAccount], *, now: datetime
) -> set[str]:
    """Return the student ids that were new; the accounts of the others were left as they are."""
    values = {
        "now": now,
        "ids": [each.user_id for each in accounts],
        "student_ids": [each.profile.student_id for each in accounts],
        "password_hashes": [each.password_hash for each in accounts],
        "full_names": [each.profile.full_name for each in accounts],
        "roles": [each.profile.role.value for each in accounts],
        "one_time_untils": [each.one_time_until for each in accounts],
    }
    return {row.student_id for row in await _INSERT.rows(connection, values)}
