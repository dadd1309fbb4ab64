"""The HTTP routes of stock: everyone may read the items, operators may change them.

The public menu shows names, prices and quantities anyway, so reading the items needs no token. The ledger names
orders, so only operators may read it.
"""

from typing import Annotated
from uuid import UUID

from litestar import MediaType, get, patch, post
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from cafeteria.chassis.auth.tokens import SignedInRequest, requires
from cafeteria.chassis.http.openapi import REPLAYED_HEADER, refusals
from cafeteria.chassis.http.pagination import DEFAULT_PAGE, PageLimit, RowCursor, TextCursor
from cafeteria.chassis.http.request_headers import OptionallyKeyedOperation, read_idempotency_key
from cafeteria.chassis.http.responses import BytesResponse
from cafeteria.chassis.observability import logs
from cafeteria.contracts.ops import OrderTrace
from cafeteria.contracts.stock import (
    MAX_NAME,
    ChangeItem,
    CreateItem,
    Item,
    Items,
    Restock,
    StockTransactions,
)
from cafeteria.contracts.values import Role
from cafeteria.stock.domain import Answer, item_on_the_wire, read_search
from cafeteria.stock.errors import IdempotencyKeyReused, StoreFull
from cafeteria.stock.use_cases import Service

_OPERATOR = requires(Role.OPERATOR)
_STAFF = requires(Role.KITCHEN, Role.OPERATOR)
_OPERATIONS = ["operations"]
_TAGS = ["items"]
_SEARCH = QueryParameter(max_length=MAX_NAME, description="Part of the name, in upper or lower case.")
_REPLAYED = {"Idempotent-Replayed": "true"}
_DONE = ResponseSpec(data_container=Item, description="The item as it is after this.")


@get("/v1/items", tags=_TAGS)
async def list_items(
    state: State,
    search: Annotated[str, _SEARCH] = "",
    on_sale: FromQuery[bool | None] = None,
    cursor: TextCursor = None,
    limit: PageLimit = DEFAULT_PAGE,
) -> Items:
    """List items by name, including those that are off sale unless `on_sale` chooses one kind."""
    service: Service = state.service
    page, next_cursor = await service.list_items(
        search=read_search(search), on_sale=on_sale, cursor=cursor, limit=limit
    )
    return Items(items=tuple(map(item_on_the_wire, page)), next_cursor=next_cursor)


@post(
    "/v1/items",
    before_request=_OPERATOR,
    tags=_TAGS,
    responses={201: _DONE, **refusals(IdempotencyKeyReused)},
    operation_class=OptionallyKeyedOperation,
    response_headers=[REPLAYED_HEADER],
)
async def create_item(request: SignedInRequest, state: State, data: JSONBody[CreateItem]) -> BytesResponse:
    """Create an item, on sale at once. With an Idempotency-Key, once however often the request is sent."""
    service: Service = state.service
    key = read_idempotency_key(request.scope["headers"])
    return _send(await service.create_item(data, actor=request.user.subject, key=key))


@patch("/v1/items/{item_id:uuid}", before_request=_OPERATOR, tags=_TAGS)
async def change_item(state: State, item_id: FromPath[UUID], data: JSONBody[ChangeItem]) -> Item:
    """Change an item's name, price, or whether it is on sale. Decided orders keep their price."""
    service: Service = state.service
    return item_on_the_wire(await service.change_item(item_id, wanted=data))


@post("/v1/items/{item_id:uuid}/off", before_request=_STAFF, status_code=200, tags=_TAGS)
async def take_off_sale(request: SignedInRequest, state: State, item_id: FromPath[UUID]) -> Item:
    """Take an item off sale at once; its portions stay. A repeat changes nothing."""
    return await _switch(request, state, item_id, on_sale=False)


@post("/v1/items/{item_id:uuid}/on", before_request=_STAFF, status_code=200, tags=_TAGS)
async def put_on_sale(request: SignedInRequest, state: State, item_id: FromPath[UUID]) -> Item:
    """Put an item on sale again. A repeat changes nothing."""
    return await _switch(request, state, item_id, on_sale=True)


@post(
    "/v1/items/{item_id:uuid}/restock",
    before_request=_OPERATOR,
    status_code=200,
    tags=_TAGS,
    responses={200: _DONE, **refusals(StoreFull, IdempotencyKeyReused)},
    operation_class=OptionallyKeyedOperation,
    response_headers=[REPLAYED_HEADER],
)
async def restock(
    request: SignedInRequest, state: State, item_id: FromPath[UUID], data: JSONBody[Restock]
) -> BytesResponse:
    """Add portions to an item. With an Idempotency-Key, once however often the request is sent."""
    service: Service = state.service
    key, actor = read_idempotency_key(request.scope["headers"]), request.user.subject
    return _send(await service.restock_item(item_id, quantity=data.quantity, actor=actor, key=key))


@get("/v1/items/{item_id:uuid}/transactions", before_request=_OPERATOR, tags=_TAGS)
async def list_transactions(
    state: State,
    item_id: FromPath[UUID],
    cursor: RowCursor = None,
    limit: PageLimit = DEFAULT_PAGE,
) -> StockTransactions:
    """List the portions of this item that orders took and gave back, newest first."""
    service: Service = state.service
    page, next_cursor = await service.list_transactions(item_id, cursor=cursor, limit=limit)
    return StockTransactions(items=page, next_cursor=next_cursor)


@get("/v1/ops/stock/orders/{order_id:uuid}", before_request=_OPERATOR, tags=_OPERATIONS)
async def trace_order(state: State, order_id: FromPath[UUID]) -> OrderTrace:
    """Tell what stock knows of an order, by time (operators only). 200 without facts where it is not known here."""
    logs.bind(order_id=str(order_id))
    service: Service = state.service
    return await service.trace_order(order_id)


ROUTES: list[HTTPRouteHandler] = [
    list_items,
    create_item,
    change_item,
    take_off_sale,
    put_on_sale,
    restock,
    list_transactions,
    trace_order,
]


async def _switch(request: SignedInRequest, state: State, item_id: UUID, *, on_sale: bool) -> Item:
    service: Service = state.service
    item = await service.switch_item(item_id, on_sale=on_sale, actor=request.user.subject)
    return item_on_the_wire(item)


def _send(answer: Answer) -> BytesResponse:
    return BytesResponse(
        answer.body,
        status=answer.status,
        media_type=MediaType.JSON,
        headers=_REPLAYED if answer.is_replay else {},
    )
