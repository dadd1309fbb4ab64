"""SQL of the complete availability message: every item."""

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.stock.domain import StoredItem
from cafeteria.stock.repository.items import SELECT_ITEMS, to_item
from cafeteria.stock.tables import ItemRow


async def read_all_items(connection: AsyncConnection) -> list[StoredItem]:
    """Return every item, by name."""
    rows = await connection.execute(SELECT_ITEMS.order_by(ItemRow.name, ItemRow.id))
    return [to_item(row) for row in rows]
