"""Read student: who is signed in, and for how long."""

from datetime import datetime

from msgspec.structs import replace

from cafeteria.chassis.auth.tokens import Principal
from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.identity import Student
from cafeteria.identity.errors import AccountGone
from cafeteria.identity.repository import read_student


class ReadStudent:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, principal: Principal) -> Student:
        """Return the account of a token. Raises AccountGone if it was removed or disabled after the token was issued."""
        async with self._database.statement() as connection:
            student = await read_student.find_enabled(connection, principal.subject)
        if student is None:
            raise AccountGone
        return replace(student, expires_in=_seconds_until(principal.expires_at))


def _seconds_until(end: datetime) -> int:
    """Whole seconds; 0 for a token that is accepted after its end, because clocks differ."""
    return max(0, int((end - now()).total_seconds()))
