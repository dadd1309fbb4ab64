"""List sessions: a person finds the devices that are signed in, and an operator those of a student."""

from datetime import timedelta
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.identity import Sessions
from cafeteria.identity.errors import StudentNotFound
from cafeteria.identity.repository import sessions


class ListSessions:
    """A session that was not refreshed for `idle` is not live any more."""

    def __init__(self, database: Database, *, idle: timedelta) -> None:
        self._database = database
        self._idle = idle

    async def __call__(self, student_id: str, *, current: UUID) -> Sessions:
        """Return the live sessions, the newest first. `current` is the session that asks. Raises StudentNotFound."""
        async with self._database.statement() as connection:
            rows = await sessions.live_sessions(connection, student_id, now=now(), idle=self._idle)
        if rows is None:
            raise StudentNotFound
        return Sessions(items=tuple(sessions.to_session(row, current=current) for row in rows))
