"""Replace the password of an account, as its hash."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.identity.tables import UserRow


async def replace_password(
    connection: AsyncConnection, *, user_id: UUID, old: str, new: str, now: datetime
) -> bool:
    """Replace the hash `old` with that of a password that its owner chose; return False if it is not `old` any more."""
    replaced = await connection.execute(
        update(UserRow)
        .where(UserRow.id == user_id, UserRow.password_hash == old)
        .values(password_hash=new, one_time_until=None, updated_at=now)
        .returning(UserRow.id)
    )
    return replaced.one_or_none() is not None


async def set_one_time_password(
    connection: AsyncConnection, student_id: str, *, password_hash: str, until: datetime, now: datetime
) -> UUID | None:
    """Return the user's id, or None without an account of that student id."""
    changed = await connection.execute(
        update(UserRow)
        .where(UserRow.student_id == student_id)
        .values(password_hash=password_hash, one_time_until=until, updated_at=now)
        .returning(UserRow.id)
    )
    return changed.scalar_one_or_none()
