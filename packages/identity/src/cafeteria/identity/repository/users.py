"""The repository of accounts. It never loads a password hash: only a login and a refresh need one, with SQL of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import defer

from cafeteria.identity.tables import UserRow

_WITHOUT_SECRETS = select(UserRow).options(defer(UserRow.password_hash, raiseload=True))


class Users(SQLAlchemyAsyncRepository[UserRow]):
    model_type = UserRow


@asynccontextmanager
async def users_over(connection: AsyncConnection) -> AsyncIterator[Users]:
    """Open the repository on a connection. It raises the driver's errors, which the database's block translates."""
    async with AsyncSession(connection) as session:
        yield Users(session=session, statement=_WITHOUT_SECRETS, wrap_exceptions=False)
