"""List logins: an operator reads the login audit of one student, a page at a time."""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.cursors import page_of, read_cursor, write_cursor
from cafeteria.contracts.identity import LoginAttempts
from cafeteria.identity.domain import is_student_id
from cafeteria.identity.errors import StudentNotFound
from cafeteria.identity.repository import list_logins


class ListLogins:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, student_id: str, *, cursor: str | None, limit: int) -> LoginAttempts:
        """Return a page, newest attempt first. Raises StudentNotFound and UnknownCursor."""
        before = read_cursor(cursor)
        if not is_student_id(student_id):
            raise StudentNotFound
        async with self._database.statement() as connection:
            found = await list_logins.read_page(connection, student_id, before=before, limit=limit + 1)
        if found is None:
            raise StudentNotFound
        page, following = page_of(found, limit=limit, cursor_of=lambda row: write_cursor(row.id))
        return LoginAttempts(items=tuple(map(list_logins.to_attempt, page)), next_cursor=following)
