"""Take an item off sale or put it on again. Quantity and ledger stay; the version rises only on a change."""

from collections.abc import Callable, Sequence
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability import logs
from cafeteria.chassis.runtime.clock import now
from cafeteria.stock.domain import StoredItem
from cafeteria.stock.errors import ItemNotFound
from cafeteria.stock.repository import switch_item

logger = logs.get_logger()


class SwitchItem:
    """Switches the sale of an item. `on_changed` is called with it after the commit of a change."""

    def __init__(self, database: Database, *, on_changed: Callable[[Sequence[StoredItem]], None]) -> None:
        self._database = database
        self._on_changed = on_changed

    async def __call__(self, item_id: UUID, *, on_sale: bool, actor: str) -> StoredItem:
        """Return the item; a repeat changes nothing. Raises ItemNotFound."""
        async with self._database.transaction() as connection:
            is_changed, item = await switch_item.switch_item(connection, item_id, on_sale=on_sale, now=now())
        if item is None:
            raise ItemNotFound(item_id)
        if is_changed:
            logger.info("item_switched", item_id=str(item_id), on_sale=on_sale, actor=actor)
            self._on_changed([item])
        return item
