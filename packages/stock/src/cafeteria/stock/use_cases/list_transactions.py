"""List the ledger entries of an item, a page at a time, newest first."""

from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.cursors import page_of, read_cursor, write_cursor
from cafeteria.contracts.stock import StockTransaction
from cafeteria.stock.errors import ItemNotFound
from cafeteria.stock.repository import items, list_transactions


class ListTransactions:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(
        self, item_id: UUID, *, cursor: str | None, limit: int
    ) -> tuple[tuple[StockTransaction, ...], str | None]:
        """Return a page, and the cursor of the next one; None at the end. Raises ItemNotFound or UnknownCursor."""
        before = read_cursor(cursor)
        async with self._database.statement() as connection:
            found = await list_transactions.read_page(connection, item_id, before=before, limit=limit + 1)
            if not found and await items.find_item(connection, item_id) is None:
                raise ItemNotFound(item_id)
        page, next_cursor = page_of(found, limit=limit, cursor_of=lambda row: write_cursor(row[0]))
        return tuple(transaction for _, transaction in page), next_cursor
