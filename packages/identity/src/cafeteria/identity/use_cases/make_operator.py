"""Make operator: a command creates the first operator, or one more for people whom no operator can help any more."""

import asyncio

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.identity import OneTimePassword
from cafeteria.identity.domain import ONE_TIME_LIFETIME, is_student_id
from cafeteria.identity.errors import InvalidStudentId, OperatorExists, StudentIdTaken
from cafeteria.identity.password_hashing import hash_password
from cafeteria.identity.password_rules import PasswordRules, new_one_time_password
from cafeteria.identity.repository import change_student, make_operator
from cafeteria.identity.repository.sessions import end_sessions


class MakeOperator:
    def __init__(self, database: Database, password_rules: PasswordRules) -> None:
        self._database = database
        self._password_rules = password_rules

    async def __call__(
        self, student_id: str, *, password: str | None = None, is_forced: bool = False
    ) -> OneTimePassword | None:
        """Store the operator; without a password return a one-time password. Replicas hear of ended sessions in a second.

        The caller lets one command run at a time: while there is no account there is no row to lock. Raises InvalidStudentId and UnusablePassword; unless `is_forced`, also OperatorExists and StudentIdTaken.
        """
        if not is_student_id(student_id):
            raise InvalidStudentId
        if password is not None:
            self._password_rules.check(password, student_id=student_id)
        chosen = password or new_one_time_password()
        password_hash = await asyncio.to_thread(hash_password, chosen)
        at = now()
        until = None if password else at + ONE_TIME_LIFETIME
        async with self._database.transaction() as connection:
            if not is_forced and await change_student.lock_operators(connection):
                raise OperatorExists
            if not is_forced and await make_operator.has_account(connection, student_id):
                raise StudentIdTaken(student_id)
            user_id = await make_operator.store_operator(
                connection,
                student_id,
                user_id=new_id(),
                password_hash=password_hash,
                one_time_until=until,
                now=at,
            )
            await end_sessions(connection, user_id=user_id, now=at)
        return OneTimePassword(one_time_password=chosen, expires_at=until) if until else None
