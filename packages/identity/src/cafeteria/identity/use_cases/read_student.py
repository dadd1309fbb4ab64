"""Read student: who is signed in."""

from cafeteria.chassis.database.database import Database
from cafeteria.contracts.identity import Student
from cafeteria.identity.errors import AccountGone
from cafeteria.identity.repository import read_student


class ReadStudent:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, student_id: str) -> Student:
        """Return the account of a token. Raises AccountGone if it was removed or disabled after the token was issued."""
        async with self._database.statement() as connection:
            student = await read_student.find_enabled(connection, student_id)
        if student is None:
            raise AccountGone
        return student
