"""End sessions: a person signs a device out, and an operator all devices of a student."""

from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.clock import now
from cafeteria.identity.domain import is_student_id
from cafeteria.identity.errors import SessionNotFound, StudentNotFound
from cafeteria.identity.repository import sessions
from cafeteria.identity.revocations import Revocations

_log = get_logger()


class EndSessions:
    def __init__(self, database: Database, revocations: Revocations) -> None:
        self._database = database
        self._revocations = revocations

    async def one(self, session: UUID, *, student_id: str) -> None:
        """End a session of this student; one that has ended stays ended. Raises SessionNotFound."""
        async with self._database.statement() as connection:
            is_found = await sessions.end_session(connection, session, student_id=student_id, now=now())
        if not is_found:
            raise SessionNotFound
        self._revocations.announce()
        _log.info("session_ended", student_id=student_id, session=str(session))

    async def all_of(self, student_id: str, *, operator: str) -> None:
        """End all sessions of a student. Raises StudentNotFound."""
        if not is_student_id(student_id):
            raise StudentNotFound
        async with self._database.transaction() as connection:
            user_id = await sessions.find_user(connection, student_id)
            if user_id is None:
                raise StudentNotFound
            ended = await sessions.end_sessions(connection, user_id=user_id, now=now())
        self._revocations.announce()
        _log.info("sessions_ended", student_id=student_id, operator=operator, sessions=len(ended))
