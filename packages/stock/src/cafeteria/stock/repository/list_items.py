"""Pages of items, read through an advanced-alchemy repository: the list is read by people, and no order waits for it."""

from advanced_alchemy.filters import BooleanFilter, LimitOffset, SearchFilter
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy import ColumnElement, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import joinedload

from cafeteria.chassis.runtime.cursors import Place
from cafeteria.stock.domain import StoredItem
from cafeteria.stock.tables import ItemRow


class ItemRepository(SQLAlchemyAsyncRepository[ItemRow]):
    """Items with their inventory. It raises the driver's errors as they are: the database's block translates them."""

    model_type = ItemRow

    def __init__(self, session: AsyncSession) -> None:
        super().__init__(
            session=session,
            load=[joinedload(ItemRow.inventory, innerjoin=True)],
            order_by=[("name", False), ("id", False)],
            wrap_exceptions=False,
        )


async def read_page(
    connection: AsyncConnection, *, search: str, on_sale: bool | None, after: Place | None, limit: int
) -> list[StoredItem]:
    """Return items by name, beginning after the place `after`.

    `search` is part of a name in upper or lower case; an empty one is part of every name. None leaves `on_sale` open.
    """
    async with AsyncSession(connection) as session:
        rows = await ItemRepository(session).get_many(
            SearchFilter("name", search, ignore_case=True, escape_wildcards=True),
            BooleanFilter("on_sale", on_sale),
            LimitOffset(limit, 0),
            *([] if after is None else [_is_behind(after)]),
        )
        return [_to_item(row) for row in rows]


def _is_behind(place: Place) -> ColumnElement[bool]:
    name, item_id = place
    return tuple_(ItemRow.name, ItemRow.id) > tuple_(literal(name), literal(item_id))


def _to_item(row: ItemRow) -> StoredItem:
    return StoredItem(
        id=row.id,
        name=row.name,
        price=row.price,
        on_sale=row.on_sale,
        quantity=row.inventory.quantity,
        version=row.inventory.version,
    )
