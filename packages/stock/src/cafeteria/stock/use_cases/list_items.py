"""List items by name, a page at a time."""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.cursors import page_of, read_text_cursor, write_text_cursor
from cafeteria.stock.domain import StoredItem
from cafeteria.stock.repository import list_items


class ListItems:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(
        self, *, search: str, on_sale: bool | None, cursor: str | None, limit: int
    ) -> tuple[tuple[StoredItem, ...], str | None]:
        """Return a page, and the cursor of the next one; None at the end. Raises UnknownCursor.

        `search` is part of a name, in any case; an empty one is part of every name. `on_sale` None lists both kinds.
        """
        after = read_text_cursor(cursor)
        async with self._database.statement() as connection:
            found = await list_items.read_page(
                connection, search=search, on_sale=on_sale, after=after, limit=limit + 1
            )
        return page_of(found, limit=limit, cursor_of=lambda item: write_text_cursor((item.name, item.id)))
