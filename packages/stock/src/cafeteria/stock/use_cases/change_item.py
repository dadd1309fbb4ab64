"""Change name, price or `on_sale` of an item. The quantity stays; the version always rises."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from msgspec import UNSET

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts import stock
from cafeteria.stock.domain import StoredItem, read_name, read_price
from cafeteria.stock.errors import ItemNotFound
from cafeteria.stock.repository import change_item


class ChangeItem:
    """Changes an item. `on_changed` is called with it after the commit."""

    def __init__(self, database: Database, *, on_changed: Callable[[Sequence[StoredItem]], None]) -> None:
        self._database = database
        self._on_changed = on_changed

    async def __call__(self, item_id: UUID, *, wanted: stock.ChangeItem) -> StoredItem:
        """Return the item after the change. Raises ItemNotFound, and ImpossibleItem for a name that nobody could read."""
        values: dict[str, Any] = {}
        if wanted.name is not UNSET:
            values["name"] = read_name(wanted.name)
        if wanted.price is not UNSET:
            values["price"] = read_price(wanted.price)
        if wanted.on_sale is not UNSET:
            values["on_sale"] = wanted.on_sale
        async with self._database.transaction() as connection:
            item = await change_item.change_item(connection, item_id, values=values, now=now())
        if item is None:
            raise ItemNotFound(item_id)
        self._on_changed([item])
        return item
