"""The HTTP door: the shelf for everyone to see, and for the operator to fill.

What is for sale, for how much and how many there are stands on the public menu anyway, so reading the items
needs no token. The ledger names orders: it is the operator's.
"""

from typing import Annotated
from uuid import UUID

from litestar import get, patch, post
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from cafeteria.chassis.cursors import read_cursor, write_cursor
from cafeteria.chassis.tokens import SignedInRequest, requires
from cafeteria.contracts.stock import ChangeItem, CreateItem, Item, Items, Restock, StockTransactions
from cafeteria.contracts.values import Role
from cafeteria.stock.domain import StoredItem
from cafeteria.stock.service import StockService

DEFAULT_PAGE = 50
MAX_PAGE = 200

_OPERATOR = requires(Role.OPERATOR)
_TAGS = ["items"]


@get("/v1/items", tags=_TAGS)
async def list_items(state: State) -> Items:
    """Every item there is, by name, also those that are off sale."""
    service: StockService = state.service
    return Items(items=tuple(_item(item) for item in await service.list_items()))


@post("/v1/items", before_request=_OPERATOR, tags=_TAGS)
async def create_item(request: SignedInRequest, state: State, data: JSONBody[CreateItem]) -> Item:
    """A new item, on sale at once."""
    service: StockService = state.service
    return _item(await service.create_item(data, actor=request.user.student_id))


@patch("/v1/items/{item_id:uuid}", before_request=_OPERATOR, tags=_TAGS)
async def change_item(state: State, item_id: FromPath[UUID], data: JSONBody[ChangeItem]) -> Item:
    """Name, price, and whether it is on sale. Orders that are decided keep their price."""
    service: StockService = state.service
    return _item(await service.change_item(item_id, wanted=data))


@post("/v1/items/{item_id:uuid}/restock", before_request=_OPERATOR, status_code=200, tags=_TAGS)
async def restock(
    request: SignedInRequest, state: State, item_id: FromPath[UUID], data: JSONBody[Restock]
) -> Item:
    """More portions of an item."""
    service: StockService = state.service
    return _item(await service.restock(item_id, quantity=data.quantity, actor=request.user.student_id))


@get("/v1/items/{item_id:uuid}/transactions", before_request=_OPERATOR, tags=_TAGS)
async def list_transactions(
    state: State,
    item_id: FromPath[UUID],
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
) -> StockTransactions:
    """What orders took of this item and gave back, newest first."""
    service: StockService = state.service
    page, following = await service.list_transactions(item_id, before=read_cursor(cursor), limit=limit)
    return StockTransactions(items=tuple(page), next_cursor=write_cursor(following))


ROUTES: list[HTTPRouteHandler] = [list_items, create_item, change_item, restock, list_transactions]


def _item(item: StoredItem) -> Item:
    return Item(
        id=item.id,
        name=item.name,
        price=item.price,
        on_sale=item.on_sale,
        quantity=item.quantity,
        version=item.version,
        available=item.available,
    )
