"""List sessions: a person finds the devices that are signed in, and an operator those of a student."""

from datetime import timedelta
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.identity import Sessions
from cafeteria.identity.domain import is_student_id
from cafeteria.identity.errors import AccountGone, StudentNotFound
from cafeteria.identity.repository import sessions


class ListSessions:
    """A session that was not refreshed for `idle` is not live any more."""

    def __init__(self, database: Database, *, idle: timedelta) -> None:
        self._database = database
        self._idle = idle

    async def mine(self, student_id: str, *, current: UUID) -> Sessions:
        """Return the live sessions of the one who asks, in session `current`. Raises AccountGone."""
        return await self._list(student_id, current=current, without_account=AccountGone)

    async def of_student(self, student_id: str, *, current: UUID) -> Sessions:
        """Return the live sessions of a student, for an operator in session `current`. Raises StudentNotFound."""
        return await self._list(student_id, current=current, without_account=StudentNotFound)

    async def _list(
        self, student_id: str, *, current: UUID, without_account: type[AccountGone | StudentNotFound]
    ) -> Sessions:
        if not is_student_id(student_id):
            raise without_account
        async with self._database.statement() as connection:
            rows = await sessions.live_sessions(connection, student_id, now=now(), idle=self._idle)
        if rows is None:
            raise without_account
        return Sessions(items=tuple(sessions.to_session(row, current=current) for row in rows))
