"""List students: an operator finds accounts, a page at a time."""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.cursors import page_of, read_cursor, write_cursor
from cafeteria.contracts.identity import Students
from cafeteria.contracts.values import Role
from cafeteria.identity.domain import search_form
from cafeteria.identity.repository import list_students


class ListStudents:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(
        self, *, search: str, role: Role | None, disabled: bool | None, cursor: str | None, limit: int
    ) -> Students:
        """Return a page, newest account first, of those with `search` in their id or name. Raises UnknownCursor.

        None leaves `role` or `disabled` open.
        """
        before = read_cursor(cursor)
        async with self._database.statement() as connection:
            found = await list_students.read_page(
                connection,
                search=search_form(search),
                role=role,
                is_disabled=disabled,
                before=before,
                limit=limit + 1,
            )
        page, following = page_of(found, limit=limit, cursor_of=lambda row: write_cursor(row.id))
        return Students(items=tuple(map(list_students.to_account, page)), next_cursor=following)
