"""Store an account."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.identity.domain import Profile
from cafeteria.identity.tables import UserRow


async def insert_user(
    connection: AsyncConnection, profile: Profile, *, user_id: UUID, password_hash: str, now: datetime
) -> bool:
    """Return False if the student id is taken; then nothing is written."""
    statement = (
        insert(UserRow)
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
