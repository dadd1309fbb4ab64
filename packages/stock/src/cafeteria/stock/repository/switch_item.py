"""SQL of taking an item off sale and putting it on again."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.stock.domain import StoredItem
from cafeteria.stock.repository.items import find_item, raise_version
from cafeteria.stock.tables import InventoryRow, ItemRow


async def switch_item(
    connection: AsyncConnection, item_id: UUID, *, on_sale: bool, now: datetime
) -> tuple[bool, StoredItem | None]:
    """Return whether the item changed, and the item; None when there is none.

    It locks the inventory row first, which puts all changes of an item in one order.
    """
    inventory = select(InventoryRow.version).where(InventoryRow.item_id == item_id)
    await connection.execute(inventory.with_for_update())
    item = await find_item(connection, item_id)
    if item is None or item.on_sale == on_sale:
        return False, item
    await raise_version(connection, item_id, now=now)
    await connection.execute(update(ItemRow).where(ItemRow.id == item_id).values(on_sale=on_sale))
    return True, await find_item(connection, item_id)
