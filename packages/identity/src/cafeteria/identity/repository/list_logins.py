"""Read the login audit of one student by pages."""

from collections.abc import Sequence
from uuid import UUID

from advanced_alchemy.filters import LimitOffset, OrderBy
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import aliased, defer

from cafeteria.contracts.identity import LoginAttempt, LoginOutcome
from cafeteria.identity.repository.users import users_over
from cafeteria.identity.tables import LoginAttemptRow

_WITHOUT_ADDRESSES = select(LoginAttemptRow).options(defer(LoginAttemptRow.client_ip, raiseload=True))


class LoginAttempts(SQLAlchemyAsyncRepository[LoginAttemptRow]):
    model_type = LoginAttemptRow


async def read_page(
    connection: AsyncConnection, student_id: str, *, before: UUID | None, limit: int
) -> Sequence[LoginAttemptRow] | None:
    """Return attempts, newest first, that are older than the attempt `before`; None without an account of that id."""
    async with users_over(connection) as users:
        if not await users.exists(student_id=student_id):
            return None
    older = () if before is None else (_older_than(before),)
    newest_first = (OrderBy("attempted_at", "desc"), OrderBy("id", "desc"))
    async with AsyncSession(connection) as session:
        attempts = LoginAttempts(session=session, statement=_WITHOUT_ADDRESSES, wrap_exceptions=False)
        return await attempts.get_many(*older, *newest_first, LimitOffset(limit, 0), student_id=student_id)


def _older_than(attempt_id: UUID) -> ColumnElement[bool]:
    """Compare by time, then by id: the id is made when the attempt ends, so it has another order than the times."""
    last = aliased(LoginAttemptRow)
    place = select(last.attempted_at, last.id).where(last.id == attempt_id).scalar_subquery()
    return tuple_(LoginAttemptRow.attempted_at, LoginAttemptRow.id) < place


def to_attempt(row: LoginAttemptRow) -> LoginAttempt:
    return LoginAttempt(
        attempted_at=row.attempted_at,
        outcome=LoginOutcome(row.outcome),
        response_time_ms=row.response_time_ms,
    )
