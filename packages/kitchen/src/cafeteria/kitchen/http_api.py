"""The HTTP routes of the kitchen: its people list tickets and take ticket actions.

Every signed-in user may read the load, and everybody the hall's board: neither names a student.
"""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, get, post, put
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Struct

from cafeteria.chassis.auth.tokens import SignedInRequest, requires
from cafeteria.chassis.http.conditional import unless_known
from cafeteria.chassis.http.openapi import refusals
from cafeteria.chassis.http.pagination import DEFAULT_PAGE, PageLimit, RowCursor
from cafeteria.chassis.http.responses import BytesResponse
from cafeteria.chassis.observability import logs
from cafeteria.contracts.kitchen import (
    ChangeIntake,
    HallBoard,
    Intake,
    KitchenBoard,
    Load,
    RefuseTicket,
    Ticket,
    Tickets,
    TicketStatus,
)
from cafeteria.contracts.ops import OrderTrace
from cafeteria.contracts.values import Role
from cafeteria.kitchen.domain import TicketAction
from cafeteria.kitchen.errors import IllegalTransition
from cafeteria.kitchen.pickup import NUMBERS
from cafeteria.kitchen.use_cases import Service

_KITCHEN = requires(Role.KITCHEN)
_KITCHEN_OR_OPERATOR = requires(Role.KITCHEN, Role.OPERATOR)
_SIGNED_IN = requires()
_OPERATOR = requires(Role.OPERATOR)
_OPERATIONS = ["operations"]
_TAGS = ["tickets"]
_Code = Annotated[
    str | None,
    QueryParameter(
        pattern=r"^[0-9A-Za-z]{4}(?![\s\S])", description="The pickup code, in small letters or capitals."
    ),
]
_Number = Annotated[int | None, QueryParameter(ge=0, lt=NUMBERS, description="The call number.")]
_TICKET_ACTION: Any = {"before_request": _KITCHEN, "responses": refusals(IllegalTransition), "tags": _TAGS}


def _answers(content: type[Struct]) -> dict[int, ResponseSpec]:
    return {
        200: ResponseSpec(data_container=content, description="The board."),
        304: ResponseSpec(data_container=None, description="The reader has this content already."),
    }


@get("/v1/tickets", before_request=_KITCHEN_OR_OPERATOR, tags=_TAGS)
async def list_tickets(
    state: State,
    status: FromQuery[TicketStatus | None] = None,
    code: _Code = None,
    number: _Number = None,
    cursor: RowCursor = None,
    limit: PageLimit = DEFAULT_PAGE,
) -> Tickets:
    """List QUEUED and IN_KITCHEN oldest first, as they are cooked; other states, or all states, newest first.

    With `code` or `number` it lists the newest ticket of the last 24 hours that has it, or none.
    """
    service: Service = state.service
    if code is not None or number is not None:
        find = service.find_ticket
        found = await (find.by_code(code) if code is not None else find.by_number(number or 0))
        return Tickets(items=() if found is None else (found,), next_cursor=None)
    items, next_cursor = await service.list_tickets(status=status, cursor=cursor, limit=limit)
    return Tickets(items=items, next_cursor=next_cursor)


@post("/v1/tickets/{ticket_id:uuid}/start", status_code=200, **_TICKET_ACTION)
async def start(state: State, ticket_id: FromPath[UUID]) -> Ticket:
    """Begin to cook a QUEUED ticket. Refused where the kitchen cooks by itself."""
    return await _take_action(state, ticket_id, TicketAction.START)


@post("/v1/tickets/{ticket_id:uuid}/ready", status_code=200, **_TICKET_ACTION)
async def ready(state: State, ticket_id: FromPath[UUID]) -> Ticket:
    """Mark a ticket IN_KITCHEN as READY for collection. Refused where the kitchen cooks by itself."""
    return await _take_action(state, ticket_id, TicketAction.READY)


@post("/v1/tickets/{ticket_id:uuid}/collect", status_code=200, **_TICKET_ACTION)
async def collect(state: State, ticket_id: FromPath[UUID]) -> Ticket:
    """Mark a READY ticket as COLLECTED: the student has the meal."""
    return await _take_action(state, ticket_id, TicketAction.COLLECT)


@post("/v1/tickets/{ticket_id:uuid}/refuse", status_code=200, **_TICKET_ACTION)
async def refuse(
    request: SignedInRequest, state: State, ticket_id: FromPath[UUID], data: JSONBody[RefuseTicket]
) -> Ticket:
    """Cancel a QUEUED ticket that cannot be made. The student is told, and stock gets the portions back."""
    service: Service = state.service
    return await service.refuse_ticket(ticket_id, reason=data.reason, actor=request.user.subject)


@get("/v1/tickets/board", before_request=_KITCHEN_OR_OPERATOR, responses=_answers(KitchenBoard), tags=_TAGS)
async def show_kitchen_board(request: Request[Any, Any, Any], state: State) -> BytesResponse:
    """Show the oldest tickets of each state and the totals of all, of one moment; at most half a second old."""
    service: Service = state.service
    return unless_known(request, await service.show_boards.kitchen())


@get("/v1/board", responses=_answers(HallBoard), tags=["board"])
async def show_hall_board(request: Request[Any, Any, Any], state: State) -> BytesResponse:
    """Show the numbers of the hall's screen to everybody; at most a second old."""
    service: Service = state.service
    return unless_known(request, await service.show_boards.hall())


@get("/v1/load", before_request=_SIGNED_IN, tags=_TAGS)
async def show_load(state: State) -> Load:
    """Count the tickets that are queued, in the kitchen and ready; at most a second old."""
    service: Service = state.service
    return await service.count_load()


@get("/v1/ops/kitchen/orders/{order_id:uuid}", before_request=_OPERATOR, tags=_OPERATIONS)
async def trace_order(state: State, order_id: FromPath[UUID]) -> OrderTrace:
    """Tell what the kitchen knows of an order, by time (operators only). 200 without facts where it is not known here."""
    logs.bind(order_id=str(order_id))
    service: Service = state.service
    return await service.trace_order(order_id)


@get("/v1/intake", before_request=_KITCHEN_OR_OPERATOR, tags=["intake"])
async def show_intake(state: State) -> Intake:
    """Tell whether orders are taken, and what is added to every ready time."""
    service: Service = state.service
    return await service.intake.read()


@put("/v1/intake", before_request=_KITCHEN_OR_OPERATOR, tags=["intake"])
async def change_intake(request: SignedInRequest, state: State, data: JSONBody[ChangeIntake]) -> Intake:
    """Pause or open the intake; a pause with `minutes` ends by itself. The last change counts."""
    service: Service = state.service
    return await service.intake.change(data, actor=request.user.subject)


ROUTES: list[HTTPRouteHandler] = [
    list_tickets,
    start,
    ready,
    collect,
    refuse,
    show_kitchen_board,
    show_hall_board,
    show_load,
    show_intake,
    change_intake,
    trace_order,
]


async def _take_action(state: State, ticket_id: UUID, action: TicketAction) -> Ticket:
    service: Service = state.service
    return await service.take_ticket_action(ticket_id, action)
