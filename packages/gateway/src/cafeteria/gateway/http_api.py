"""The HTTP routes: the menu for everyone, each student's own orders, and all of them for operators.

Every signed-in user may order and sees only their own orders. The answer to an order is sent as it is stored, to the
byte. What an operator reads is logged with the order or the student.
"""

from typing import Annotated
from uuid import UUID

from litestar import MediaType, get, post
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from cafeteria.chassis.auth.tokens import SignedInRequest, requires
from cafeteria.chassis.http.openapi import REPLAYED_HEADER, refusals
from cafeteria.chassis.http.pagination import DEFAULT_PAGE, PageLimit, RowCursor
from cafeteria.chassis.http.problem_details import PROBLEM_JSON
from cafeteria.chassis.http.request_boundary import SHEDS_LOAD
from cafeteria.chassis.http.request_headers import KeyedOperation, require_idempotency_key
from cafeteria.chassis.http.responses import BytesResponse
from cafeteria.chassis.observability import logs, tracing
from cafeteria.chassis.runtime.errors import InvalidRequest, LimitReached
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.gateway import Menu, Order, Orders, PlaceOrder
from cafeteria.contracts.ops import OrderTrace
from cafeteria.contracts.values import Role
from cafeteria.gateway.answers import CREATED, RECEIVED, to_view
from cafeteria.gateway.domain import NewOrder, Placing, repeated_items
from cafeteria.gateway.errors import (
    IdempotencyKeyReused,
    IntakePaused,
    KitchenFull,
    OrderExpired,
    OrderUndecided,
    OutOfStock,
    TooLateToCancel,
    UnknownItem,
)
from cafeteria.gateway.idempotency import request_hash, stored_key
from cafeteria.gateway.use_cases import Service

ORDERS_PATH = "/v1/orders"

_SIGNED_IN = requires()
_OPERATOR = requires(Role.OPERATOR)
_REPLAYED = {"Idempotent-Replayed": "true"}
_STUDENT = QueryParameter(pattern=r"^[A-Za-z0-9-]{1,32}(?![\s\S])", description="The student's id.")
_OPERATIONS = ["operations"]
_TAGS = ["orders"]
_PLACED = {
    CREATED: ResponseSpec(data_container=Order, description="The order is accepted."),
    RECEIVED: ResponseSpec(
        data_container=Order, description="Received; stock has not decided yet. It may still end REJECTED."
    ),
    **refusals(
        OutOfStock, UnknownItem, OrderExpired, IdempotencyKeyReused, LimitReached, IntakePaused, KitchenFull
    ),
}


@get("/v1/menu", tags=["menu"], sync_to_thread=False)
def read_menu(state: State) -> Menu:
    """List the items on the menu, by name. `available` is null while it is not known; an order then goes to stock."""
    service: Service = state.service
    return service.read_menu()


@post(
    ORDERS_PATH,
    before_request=_SIGNED_IN,
    opt=SHEDS_LOAD,
    operation_class=KeyedOperation,
    responses=_PLACED,
    tags=_TAGS,
    response_headers=[REPLAYED_HEADER],
)
async def place_order(
    request: SignedInRequest,
    state: State,
    data: JSONBody[PlaceOrder],
) -> BytesResponse:
    """Place an order. Every request with the same key and lines gets the same order and the same answer."""
    service: Service = state.service
    key = require_idempotency_key(request.scope["headers"])
    placing = _placing(data, student_id=request.user.subject, key=key)
    placed = await service.place_order(placing)
    return BytesResponse(
        placed.body,
        status=placed.status,
        media_type=MediaType.JSON if placed.status in (CREATED, RECEIVED) else PROBLEM_JSON,
        headers=_REPLAYED if placed.is_replay else {},
    )


@get("/v1/orders/{order_id:uuid}", before_request=_SIGNED_IN, tags=_TAGS)
async def read_order(request: SignedInRequest, state: State, order_id: FromPath[UUID]) -> Order:
    """Show one of the student's own orders, in its current state."""
    service: Service = state.service
    order = await service.read_orders.one(order_id, student_id=request.user.subject)
    return to_view(order)


@get(ORDERS_PATH, before_request=_SIGNED_IN, tags=_TAGS)
async def list_orders(
    request: SignedInRequest,
    state: State,
    cursor: RowCursor = None,
    limit: PageLimit = DEFAULT_PAGE,
) -> Orders:
    """List the student's orders, newest first."""
    service: Service = state.service
    page, following = await service.read_orders.page(request.user.subject, cursor=cursor, limit=limit)
    return Orders(items=tuple(map(to_view, page)), next_cursor=following)


@post(
    "/v1/orders/{order_id:uuid}/cancel",
    before_request=_SIGNED_IN,
    status_code=200,
    tags=_TAGS,
    responses=refusals(TooLateToCancel, OrderUndecided),
)
async def cancel_order(request: SignedInRequest, state: State, order_id: FromPath[UUID]) -> Order:
    """Cancel an order, unless the kitchen has begun with it. A repeat gets the same answer."""
    service: Service = state.service
    order = await service.cancel_order(order_id, student_id=request.user.subject)
    return to_view(order)


@get("/v1/ops/gateway/orders", before_request=_OPERATOR, tags=_OPERATIONS)
async def list_orders_of(
    state: State,
    student_id: Annotated[str, _STUDENT],
    cursor: RowCursor = None,
    limit: PageLimit = DEFAULT_PAGE,
) -> Orders:
    """List one student's orders, newest first (operators only)."""
    logs.bind(student_id=student_id)
    service: Service = state.service
    page, following = await service.read_orders.page(student_id, cursor=cursor, limit=limit)
    return Orders(items=tuple(map(to_view, page)), next_cursor=following)


@get("/v1/ops/gateway/orders/{order_id:uuid}", before_request=_OPERATOR, tags=_OPERATIONS)
async def trace_order(state: State, order_id: FromPath[UUID]) -> OrderTrace:
    """Tell what the gateway knows of an order, by time (operators only). 200 without facts where it is not known here."""
    logs.bind(order_id=str(order_id))
    service: Service = state.service
    return await service.trace_order(order_id)


ROUTES: list[HTTPRouteHandler] = [
    read_menu,
    place_order,
    read_order,
    list_orders,
    cancel_order,
    list_orders_of,
    trace_order,
]


def _placing(body: PlaceOrder, *, student_id: str, key: str) -> Placing:
    if repeated := repeated_items(body.lines):
        raise InvalidRequest(
            "An item may occur in one line only; add its portions up. Nothing was ordered.",
            errors=tuple(f"body.lines: item {item_id} occurs in more than one line" for item_id in repeated),
        )
    return Placing(
        order=NewOrder(id=new_id(), student_id=student_id, lines=body.lines, traceparent=tracing.current()),
        key=stored_key(student_id, key),
        request_hash=request_hash(body.lines),
    )
