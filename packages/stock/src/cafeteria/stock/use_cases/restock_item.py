"""Add portions to an item, and record which operator added them."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.runtime.clock import now
from cafeteria.stock.domain import MAX_QUANTITY, Answer, StoredItem, operation_of
from cafeteria.stock.errors import ItemNotFound, StoreFull
from cafeteria.stock.operations import Operations
from cafeteria.stock.repository import items, restock_item


class RestockItem:
    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def __call__(self, item_id: UUID, *, quantity: int, actor: str, key: str | None) -> Answer:
        """Return the answer to the operator `actor`; with a key, the same for every repeat.

        Raises ItemNotFound, StoreFull and IdempotencyKeyReused; then nothing is added.
        """

        async def add(connection: AsyncConnection) -> StoredItem:
            item = await restock_item.add_portions(
                connection, item_id, quantity=quantity, actor=actor, now=now()
            )
            if item is not None:
                return item
            if await items.find_item(connection, item_id) is None:
                raise ItemNotFound(item_id)
            raise StoreFull(item_id, most=MAX_QUANTITY)

        operation = operation_of("restock", item_id, quantity, actor=actor, key=key)
        return await self._operations.run_once(add, operation, status=200)
