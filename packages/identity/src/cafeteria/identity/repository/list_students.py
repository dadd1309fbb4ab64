"""Read accounts by pages. A UUIDv7 sorts by the time of its creation, so a new account never moves a later page."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from advanced_alchemy.filters import (
    ComparisonFilter,
    LimitOffset,
    NotNullFilter,
    NullFilter,
    OrderBy,
    SearchFilter,
    StatementFilter,
)
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.contracts.identity import StudentAccount
from cafeteria.contracts.values import Role
from cafeteria.identity.repository.users import users_over
from cafeteria.identity.tables import UserRow

SEARCHED = {"student_id", "full_name"}


async def read_page(
    connection: AsyncConnection,
    *,
    search: str,
    role: Role | None,
    is_disabled: bool | None,
    before: UUID | None,
    limit: int,
) -> Sequence[UserRow]:
    """Return accounts, newest first, that are older than `before` and have `search` in their id or name, in any case.

    None leaves `role` or `is_disabled` open.
    """
    filters: list[StatementFilter] = [OrderBy("id", "desc"), LimitOffset(limit, 0)]
    if search:
        filters.append(SearchFilter(SEARCHED, search, ignore_case=True, escape_wildcards=True))
    if role is not None:
        filters.append(ComparisonFilter("role", "eq", role.value))
    if is_disabled is not None:
        filters.append(NotNullFilter("disabled_at") if is_disabled else NullFilter("disabled_at"))
    if before is not None:
        filters.append(ComparisonFilter("id", "lt", before))
    async with users_over(connection) as users:
        return await users.get_many(*filters)


def to_account(row: UserRow | Row[*tuple[Any, ...]]) -> StudentAccount:
    return StudentAccount(
        student_id=row.student_id,
        role=Role(row.role),
        full_name=row.full_name,
        disabled=row.disabled_at is not None,
        created_at=row.created_at,
    )
