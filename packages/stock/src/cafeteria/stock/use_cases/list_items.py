"""List items."""

from cafeteria.chassis.database.database import Database
from cafeteria.stock.domain import StoredItem
from cafeteria.stock.repository import publish_availability


class ListItems:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self) -> list[StoredItem]:
        """Return every item, by name."""
        async with self._database.statement() as connection:
            return await publish_availability.read_all_items(connection)
