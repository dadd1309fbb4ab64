"""Create student: an operator adds an account, which may also be one of the kitchen or of an operator."""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability.security_log import log_security_event
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.security_events import SecurityEvent
from cafeteria.contracts import identity
from cafeteria.identity.domain import Profile, is_student_id, read_name
from cafeteria.identity.errors import InvalidStudentId, StudentIdTaken
from cafeteria.identity.password_hashing import PasswordHashing
from cafeteria.identity.password_rules import PasswordRules
from cafeteria.identity.repository import create_student


class CreateStudent:
    def __init__(
        self, database: Database, password_hashing: PasswordHashing, password_rules: PasswordRules
    ) -> None:
        self._database = database
        self._password_hashing = password_hashing
        self._password_rules = password_rules

    async def __call__(self, request: identity.CreateStudent) -> identity.Student:
        """Store the account. Raises StudentIdTaken, and Overloaded before anything was written.

        Raises InvalidStudentId, UnusablePassword or UnusableName for values that cannot be stored.
        """
        profile = _profile_of(request)
        self._password_rules.check(request.password, student_id=profile.student_id)
        async with self._password_hashing.slot():
            password_hash = await self._password_hashing.hash(request.password)
        async with self._database.statement() as connection:
            is_new = await create_student.insert_user(
                connection, profile, user_id=new_id(), password_hash=password_hash, now=now()
            )
        if not is_new:
            raise StudentIdTaken(request.student_id)
        log_security_event(SecurityEvent.ACCOUNT_CREATED, subject=profile.student_id, role=profile.role)
        return identity.Student(student_id=profile.student_id, role=profile.role, full_name=profile.full_name)


def _profile_of(request: identity.CreateStudent) -> Profile:
    if not is_student_id(request.student_id):
        raise InvalidStudentId
    full_name = None if request.full_name is None else read_name(request.full_name)
    return Profile(student_id=request.student_id, role=request.role, full_name=full_name)
