"""Reset password: an operator gives an account a one-time password, and all its sessions end."""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability.security_log import log_security_event
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.security_events import SecurityEvent
from cafeteria.contracts.identity import OneTimePassword
from cafeteria.identity.domain import ONE_TIME_LIFETIME, is_student_id
from cafeteria.identity.errors import OwnAccount, StudentNotFound
from cafeteria.identity.password_hashing import PasswordHashing
from cafeteria.identity.password_rules import new_one_time_password
from cafeteria.identity.repository import passwords
from cafeteria.identity.repository.sessions import end_sessions
from cafeteria.identity.revocations import Revocations


class ResetPassword:
    def __init__(
        self, database: Database, password_hashing: PasswordHashing, revocations: Revocations
    ) -> None:
        self._database = database
        self._password_hashing = password_hashing
        self._revocations = revocations

    async def __call__(self, student_id: str, *, operator: str) -> OneTimePassword:
        """Return the password, which nobody can read again. `operator` is the student id of the caller.

        Raises StudentNotFound, OwnAccount for the operator's own account, and Overloaded before anything was written.
        """
        if student_id == operator:
            raise OwnAccount("Change your password with the old one, or ask another operator.")
        if not is_student_id(student_id):
            raise StudentNotFound
        one_time_password = new_one_time_password()
        async with self._password_hashing.slot():
            password_hash = await self._password_hashing.hash(one_time_password)
        at = now()
        until = at + ONE_TIME_LIFETIME
        async with self._database.transaction() as connection:
            user_id = await passwords.set_one_time_password(
                connection, student_id, password_hash=password_hash, until=until, now=at
            )
            if user_id is None:
                raise StudentNotFound
            await end_sessions(connection, user_id=user_id, now=at)
        self._revocations.announce()
        log_security_event(SecurityEvent.PASSWORD_RESET, subject=student_id, operator=operator)
        return OneTimePassword(one_time_password=one_time_password, expires_at=until)
