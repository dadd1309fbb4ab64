"""The HTTP door: what the people in the kitchen see and press.

How busy the kitchen is may be seen by anybody who is signed in: it names no student.
"""

from typing import Annotated, Any
from uuid import UUID

from litestar import get, post
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, QueryParameter

from cafeteria.chassis.cursors import read_cursor, write_cursor
from cafeteria.chassis.http.openapi import refusals
from cafeteria.chassis.http.pagination import RowCursor
from cafeteria.chassis.tokens import requires
from cafeteria.contracts.kitchen import Load, Ticket, Tickets, TicketStatus
from cafeteria.contracts.values import Role
from cafeteria.kitchen.domain import Press
from cafeteria.kitchen.errors import IllegalTransition
from cafeteria.kitchen.service.board import Board
from cafeteria.kitchen.service.pressing import Pressing

DEFAULT_PAGE = 50
MAX_PAGE = 200

_KITCHEN = requires(Role.KITCHEN)
_STAFF = requires(Role.KITCHEN, Role.OPERATOR)
_ANYBODY = requires()
_TAGS = ["tickets"]
_PRESSED: Any = {"before_request": _KITCHEN, "responses": refusals(IllegalTransition), "tags": _TAGS}


@get("/v1/tickets", before_request=_STAFF, tags=_TAGS)
async def list_tickets(
    state: State,
    status: FromQuery[TicketStatus | None] = None,
    cursor: RowCursor = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
) -> Tickets:
    """QUEUED and IN_KITCHEN oldest first, as they are cooked; the others, and all together, newest first."""
    board: Board = state.board
    items, following = await board.tickets(status=status, after=read_cursor(cursor), limit=limit)
    return Tickets(items=tuple(items), next_cursor=write_cursor(following))


@post("/v1/tickets/{ticket_id:uuid}/start", status_code=200, **_PRESSED)
async def start(state: State, ticket_id: FromPath[UUID]) -> Ticket:
    """Begin to cook a QUEUED ticket. Refused where the kitchen cooks by itself."""
    return await _press(state, ticket_id, Press.START)


@post("/v1/tickets/{ticket_id:uuid}/ready", status_code=200, **_PRESSED)
async def ready(state: State, ticket_id: FromPath[UUID]) -> Ticket:
    """The meal of a ticket IN_KITCHEN stands at the counter. Refused where the kitchen cooks by itself."""
    return await _press(state, ticket_id, Press.READY)


@post("/v1/tickets/{ticket_id:uuid}/collect", status_code=200, **_PRESSED)
async def collect(state: State, ticket_id: FromPath[UUID]) -> Ticket:
    """The student has taken the READY meal."""
    return await _press(state, ticket_id, Press.COLLECT)


@get("/v1/load", before_request=_ANYBODY, tags=_TAGS)
async def show_load(state: State) -> Load:
    """How many tickets wait, cook and stand ready; at most a second old."""
    board: Board = state.board
    return await board.load()


ROUTES: list[HTTPRouteHandler] = [list_tickets, start, ready, collect, show_load]


async def _press(state: State, ticket_id: UUID, pressed: Press) -> Ticket:
    pressing: Pressing = state.pressing
    return await pressing.press(ticket_id, pressed)
