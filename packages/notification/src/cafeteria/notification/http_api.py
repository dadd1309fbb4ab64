"""HTTP's door: two event streams and the delivery log. Each shows what is the signed-in student's own.

A stream's answer is written here by hand: Litestar's own would keep two more tasks for each open one.
"""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send

from cafeteria.chassis.auth.tokens import SignedInRequest, requires
from cafeteria.chassis.database.database import DatabaseUnavailable
from cafeteria.chassis.http.openapi import EVENT_STREAM
from cafeteria.chassis.http.pagination import cursor_parameter
from cafeteria.chassis.http.uvicorn_protocol import abort_of
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.notification import Notifications, OrderStatusEvent
from cafeteria.notification.domain import CURSOR_PATTERN, Viewer
from cafeteria.notification.errors import StreamTokenExpired
from cafeteria.notification.service import NotificationService
from cafeteria.notification.views import CLOSED

RESUME_AFTER_MS = 1000  # a client whose stream ended waits this long: a restart takes about as long
RETRY_BLOCK = b"retry: %d\n\n" % RESUME_AFTER_MS
LOG_AWAY_BLOCK = b"retry: 3000\n: the log cannot be read just now, nothing was shown\n\n"
"""The whole of a stream that could not be opened. A browser's EventSource gives up for good on a 503 and comes back
after an end; the longer wait spares a database that has just returned."""

DEFAULT_PAGE = 50
MAX_PAGE = 200

_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would keep events back until its buffer is full
]
_SIGNED_IN = requires()
_TAGS = ["notifications"]

LastEventId = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="Show what came after this event.")
]
LastEventIdInQuery = Annotated[
    str | None,
    QueryParameter(
        name="lastEventId",
        description="The same, for a client that cannot set the header. The header counts if both are sent.",
    ),
]
PositionCursor = Annotated[str | None, cursor_parameter(CURSOR_PATTERN)]


class EventsAnswer(Response[OrderStatusEvent]):
    """Runs `stream`, which answers until it ends."""

    def __init__(self, stream: ASGIApp) -> None:
        super().__init__(content=None, media_type=EVENT_STREAM)  # type: ignore[arg-type]  # the content is what happens
        self._stream = stream

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]  # Litestar asks for any app
        return self._stream


@get("/v1/events", before_request=_SIGNED_IN, media_type=EVENT_STREAM, tags=_TAGS)
async def follow_orders(
    request: SignedInRequest,
    state: State,
    last_event_id: LastEventId = None,
    last_event_id_in_query: LastEventIdInQuery = None,
) -> Response[OrderStatusEvent]:
    """Server-sent events: what becomes of all your orders. Without Last-Event-ID it begins with the live ones."""
    return await _answer(request, state, order_id=None, seen=last_event_id or last_event_id_in_query)


@get("/v1/orders/{order_id:uuid}/events", before_request=_SIGNED_IN, media_type=EVENT_STREAM, tags=_TAGS)
async def follow_order(
    request: SignedInRequest,
    state: State,
    order_id: FromPath[UUID],
    last_event_id: LastEventId = None,
    last_event_id_in_query: LastEventIdInQuery = None,
) -> Response[OrderStatusEvent]:
    """Server-sent events of one order; one that is not logged yet is waited for."""
    return await _answer(request, state, order_id=order_id, seen=last_event_id or last_event_id_in_query)


@get("/v1/notifications", before_request=_SIGNED_IN, tags=_TAGS)
async def list_notifications(
    request: SignedInRequest,
    state: State,
    cursor: PositionCursor = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
) -> Notifications:
    """What was sent to you and whether a stream took it, newest first."""
    service: NotificationService = state.service
    return await service.history(request.user.student_id, cursor=cursor, limit=limit)


ROUTES: list[HTTPRouteHandler] = [follow_orders, follow_order, list_notifications]


async def _answer(
    request: SignedInRequest, state: State, *, order_id: UUID | None, seen: str | None
) -> EventsAnswer:
    """`seen` is the client's last event id. Raises StreamTokenExpired.

    The first page is read before the answer begins, so that a stream which cannot be read ends at once.
    """
    service: NotificationService = state.service
    expires_at = request.user.expires_at
    if expires_at <= now():
        raise StreamTokenExpired
    viewer = Viewer(student_id=request.user.student_id, order_id=order_id)
    try:
        backlog = await service.open_backlog(viewer, last_event_id=seen)
        page = await service.read_backlog(backlog)
    except DatabaseUnavailable:
        return EventsAnswer(_end_at_once)

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(_STREAM_HEADERS)})
        await _write(send, RETRY_BLOCK)
        events = service.open_stream(
            viewer, expires_at=expires_at, write=partial(_write, send), abort=abort_of(scope)
        )
        try:
            await service.follow(events, backlog, page)
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            events.abandon()

    return EventsAnswer(stream)


async def _end_at_once(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - an ASGI app
    CLOSED.labels("unavailable").inc()
    await send({"type": "http.response.start", "status": 200, "headers": list(_STREAM_HEADERS)})
    await _write(send, LOG_AWAY_BLOCK, more=False)


async def _write(send: Send, chunk: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": more})
