"""SQL of a change of name, price or `on_sale`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.stock.domain import StoredItem
from cafeteria.stock.repository.items import find_item, raise_version
from cafeteria.stock.tables import ItemRow


async def change_item(
    connection: AsyncConnection, item_id: UUID, *, values: dict[str, Any], now: datetime
) -> StoredItem | None:
    """Return the changed item, or None when there is none.

    It updates the inventory row first, which puts all changes of an item in one order.
    """
    if not await raise_version(connection, item_id, now=now):
        return None
    if values:
        await connection.execute(update(ItemRow).where(ItemRow.id == item_id).values(**values))
    return await find_item(connection, item_id)
