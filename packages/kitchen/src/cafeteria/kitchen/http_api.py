"""The HTTP routes of the kitchen: its people list tickets and take ticket actions.

Every signed-in user may read the load: it names no student.
"""

from typing import Any
from uuid import UUID

from litestar import get, post, put
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody

from cafeteria.chassis.auth.tokens import SignedInRequest, requires
from cafeteria.chassis.http.openapi import refusals
from cafeteria.chassis.http.pagination import DEFAULT_PAGE, PageLimit, RowCursor
from cafeteria.contracts.kitchen import ChangeIntake, Intake, Load, Ticket, Tickets, TicketStatus
from cafeteria.contracts.values import Role
from cafeteria.kitchen.domain import TicketAction
from cafeteria.kitchen.errors import IllegalTransition
from cafeteria.kitchen.use_cases import Service

_KITCHEN = requires(Role.KITCHEN)
_KITCHEN_OR_OPERATOR = requires(Role.KITCHEN, Role.OPERATOR)
_SIGNED_IN = requires()
_TAGS = ["tickets"]
_TICKET_ACTION: Any = {"before_request": _KITCHEN, "responses": refusals(IllegalTransition), "tags": _TAGS}


@get("/v1/tickets", before_request=_KITCHEN_OR_OPERATOR, tags=_TAGS)
async def list_tickets(
    state: State,
    status: FromQuery[TicketStatus | None] = None,
    cursor: RowCursor = None,
    limit: PageLimit = DEFAULT_PAGE,
) -> Tickets:
    """List QUEUED and IN_KITCHEN oldest first, as they are cooked; other states, or all states, newest first."""
    service: Service = state.service
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


@get("/v1/load", before_request=_SIGNED_IN, tags=_TAGS)
async def show_load(state: State) -> Load:
    """Count the tickets that are queued, in the kitchen and ready; at most a second old."""
    service: Service = state.service
    return await service.count_load()


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


ROUTES: list[HTTPRouteHandler] = [list_tickets, start, ready, collect, show_load, show_intake, change_intake]


async def _take_action(state: State, ticket_id: UUID, action: TicketAction) -> Ticket:
    service: Service = state.service
    return await service.take_ticket_action(ticket_id, action)
