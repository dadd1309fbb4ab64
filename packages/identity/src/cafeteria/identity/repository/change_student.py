"""Read and change an account under locks: one row for all changes that take an operator, and then the account."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.contracts.values import Role
from cafeteria.identity.tables import UserRow

_ACCOUNT = (
    UserRow.id,
    UserRow.student_id,
    UserRow.role,
    UserRow.full_name,
    UserRow.disabled_at,
    UserRow.created_at,
)


async def lock_operators(connection: AsyncConnection) -> set[str]:
    """Return the student ids of the enabled operators, who stay so until the transaction ends.

    The oldest account's row is the lock: the operators' own rows, locked one after the other while their set changes,
    would end in deadlocks.
    """
    await connection.execute(select(UserRow.id).order_by(UserRow.id).limit(1).with_for_update())
    rows = await connection.execute(
        select(UserRow.student_id).where(UserRow.role == Role.OPERATOR.value, UserRow.disabled_at.is_(None))
    )
    return set(rows.scalars())


async def lock_account(connection: AsyncConnection, student_id: str) -> Row[*tuple[Any, ...]] | None:
    """Return the account without secrets, or None; it has the attributes that `to_account` of the list reads."""
    rows = await connection.execute(
        select(*_ACCOUNT).where(UserRow.student_id == student_id).with_for_update()
    )
    return rows.one_or_none()


async def change_account(
    connection: AsyncConnection, student_id: str, values: Mapping[str, Any]
) -> Row[*tuple[Any, ...]]:
    """Return the changed account of a student id that exists."""
    rows = await connection.execute(
        update(UserRow).where(UserRow.student_id == student_id).values(**values).returning(*_ACCOUNT)
    )
    return rows.one()
