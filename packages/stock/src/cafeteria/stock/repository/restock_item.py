"""SQL of a restock."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.stock.domain import StoredItem
from cafeteria.stock.repository.items import find_item, insert_restock, raise_version


async def add_portions(
    connection: AsyncConnection, item_id: UUID, *, quantity: int, actor: str, now: datetime
) -> StoredItem | None:
    """Return the changed item, or None when there is none or its store is full; then nothing is added."""
    if not await raise_version(connection, item_id, added=quantity, now=now):
        return None
    await insert_restock(connection, item_id, quantity=quantity, actor=actor, now=now)
    return await find_item(connection, item_id)
