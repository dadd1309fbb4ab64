"""Read one account."""

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.contracts.identity import Student
from cafeteria.contracts.values import Role
from cafeteria.identity.repository.users import users_over
from cafeteria.identity.tables import UserRow


async def find_enabled(connection: AsyncConnection, student_id: str) -> Student | None:
    """Return the account, None for an unknown or disabled one."""
    async with users_over(connection) as users:
        row = await users.get_one_or_none(UserRow.disabled_at.is_(None), student_id=student_id)
    if row is None:
        return None
    return Student(student_id=row.student_id, role=Role(row.role), full_name=row.full_name)
