"""SQL of a new item."""

from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.stock.domain import StoredItem
from cafeteria.stock.repository.items import insert_restock
from cafeteria.stock.tables import InventoryRow, ItemRow


async def insert_item(connection: AsyncConnection, item: StoredItem, *, actor: str, now: datetime) -> None:
    """Insert the item, its inventory row and its first restock, without which the ledger would not add up."""
    await connection.execute(
        insert(ItemRow).values(
            id=item.id, name=item.name, price=item.price, on_sale=item.on_sale, created_at=now
        )
    )
    await connection.execute(
        insert(InventoryRow).values(
            id=new_id(), item_id=item.id, quantity=item.quantity, version=item.version, updated_at=now
        )
    )
    await insert_restock(connection, item.id, quantity=item.quantity, actor=actor, now=now)
