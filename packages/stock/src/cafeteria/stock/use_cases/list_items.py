"""List items by name, a page at a time."""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.cursors import Place
from cafeteria.stock.domain import StoredItem
from cafeteria.stock.repository import list_items


class ListItems:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(
        self, *, search: str, on_sale: bool | None, after: Place | None, limit: int
    ) -> tuple[list[StoredItem], Place | None]:
        """Return a page, and the place of the item after which the next page begins; None at the end.

        `search` is part of a name, in any case; an empty one is part of every name. `on_sale` None lists both kinds.
        """
        async with self._database.statement() as connection:
            found = await list_items.read_page(
                connection, search=search, on_sale=on_sale, after=after, limit=limit + 1
            )
        page = found[:limit]
        return page, (page[-1].name, page[-1].id) if len(found) > limit else None
