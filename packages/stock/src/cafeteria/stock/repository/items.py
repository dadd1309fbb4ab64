"""SQL that several use cases share: read one item, raise its version, record a restock."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.stock.domain import MAX_QUANTITY, StoredItem
from cafeteria.stock.tables import InventoryRow, ItemRow, RestockRow

_ITEM_COLUMNS = (
    ItemRow.id,
    ItemRow.name,
    ItemRow.price,
    ItemRow.on_sale,
    InventoryRow.quantity,
    InventoryRow.version,
)
SELECT_ITEMS = select(*_ITEM_COLUMNS).join(InventoryRow, InventoryRow.item_id == ItemRow.id)


async def find_item(connection: AsyncConnection, item_id: UUID) -> StoredItem | None:
    row = (await connection.execute(SELECT_ITEMS.where(ItemRow.id == item_id))).one_or_none()
    return row and to_item(row)


async def raise_version(connection: AsyncConnection, item_id: UUID, *, now: datetime, added: int = 0) -> bool:
    """Raise the item's version and add portions. False when there is no such item or its store is full: nothing changes."""
    raised = update(InventoryRow).where(InventoryRow.item_id == item_id)
    if added:
        raised = raised.where(InventoryRow.quantity <= MAX_QUANTITY - added)
    result = await connection.execute(
        raised.values(
            quantity=InventoryRow.quantity + added, version=InventoryRow.version + 1, updated_at=now
        )
    )
    return result.rowcount == 1


async def insert_restock(
    connection: AsyncConnection, item_id: UUID, *, quantity: int, actor: str, now: datetime
) -> None:
    await connection.execute(
        insert(RestockRow).values(
            id=new_id(), item_id=item_id, quantity=quantity, actor=actor, created_at=now
        )
    )


def to_item(row: Any) -> StoredItem:
    return StoredItem(
        id=row.id,
        name=row.name,
        price=row.price,
        on_sale=row.on_sale,
        quantity=row.quantity,
        version=row.version,
    )
