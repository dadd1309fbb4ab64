"""Create an item, on sale at once, with its initial quantity."""

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts import stock
from cafeteria.stock.domain import Answer, StoredItem, operation_of, read_name, read_price
from cafeteria.stock.operations import Operations
from cafeteria.stock.repository import create_item


class CreateItem:
    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def __call__(self, wanted: stock.CreateItem, *, actor: str, key: str | None) -> Answer:
        """Return the answer to the operator `actor`; with a key, the same for every repeat.

        Raises ImpossibleItem for a name that nobody could read, and IdempotencyKeyReused.
        """
        item = StoredItem(
            id=new_id(),
            name=read_name(wanted.name),
            price=read_price(wanted.price),
            on_sale=True,
            quantity=wanted.quantity,
            version=1,
        )

        async def insert(connection: AsyncConnection) -> StoredItem:
            await create_item.insert_item(connection, item, actor=actor, now=now())
            return item

        operation = operation_of("create", item.name, item.price, item.quantity, actor=actor, key=key)
        return await self._operations.run_once(insert, operation, status=201)
