"""List the ledger entries of an item, a page at a time, newest first."""

from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.contracts.stock import StockTransaction
from cafeteria.stock.errors import ItemNotFound
from cafeteria.stock.repository import items, list_transactions


class ListTransactions:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(
        self, item_id: UUID, *, before: UUID | None, limit: int
    ) -> tuple[list[StockTransaction], UUID | None]:
        """Return a page, and the id of the entry after which the next page begins; None at the end.

        Raises ItemNotFound.
        """
        async with self._database.statement() as connection:
            found = await list_transactions.read_page(connection, item_id, before=before, limit=limit + 1)
            if not found and await items.find_item(connection, item_id) is None:
                raise ItemNotFound(item_id)
        page = found[:limit]
        following = page[-1][0] if len(found) > limit else None
        return [transaction for _, transaction in page], following
