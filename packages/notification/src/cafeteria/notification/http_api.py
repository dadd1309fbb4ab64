"""The HTTP routes of notification: two event streams and the delivery log, each of the signed-in student's own orders.

An ASGI app here writes a stream's response: Litestar's own streaming response would keep two more tasks for each.
"""

from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Response, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send

from cafeteria.chassis.auth.tokens import SignedInRequest, requires
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.http.openapi import EVENT_STREAM, refusals
from cafeteria.chassis.http.pagination import DEFAULT_PAGE, PageLimit, cursor_parameter
from cafeteria.chassis.http.uvicorn_protocol import abort_of
from cafeteria.chassis.observability import logs
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.notification import Notifications, OrderStatusEvent
from cafeteria.contracts.ops import OrderTrace
from cafeteria.contracts.values import Role
from cafeteria.notification.domain import CURSOR_PATTERN, Viewer
from cafeteria.notification.errors import StreamsReached, StreamTokenExpired
from cafeteria.notification.sse_hub import CLOSED
from cafeteria.notification.use_cases import Service
from cafeteria.notification.use_cases.follow_events import FollowEvents

RESUME_AFTER_MS = 1000  # how long a client waits before it connects again: a restart takes about as long
RETRY_BLOCK = b"retry: %d\n\n" % RESUME_AFTER_MS
LOG_UNAVAILABLE_BLOCK = b"retry: 3000\n: the log cannot be read just now, nothing was shown\n\n"
"""The whole content of a stream that could not be opened. A browser's EventSource gives up for good on a 503, and
connects again after an end; the longer wait spares a database that has just started."""

_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events until its buffer is full
]
_SIGNED_IN = requires()
_OPERATOR = requires(Role.OPERATOR)
_OPERATIONS = ["operations"]
_TAGS = ["notifications"]
_STREAM_REFUSALS = refusals(StreamsReached)

LastEventId = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="Show the events after this one.")
]
LastEventIdInQuery = Annotated[
    str | None,
    QueryParameter(
        name="lastEventId",
        description="The same, for a client that cannot set the header. The header counts if both are sent.",
    ),
]
With = Annotated[
    Literal["canteen"] | None,
    QueryParameter(
        name="with",
        description="`canteen` shows the menu and the kitchen's pace too: `menu.changed`, `canteen.pulse`.",
    ),
]
PositionCursor = Annotated[str | None, cursor_parameter(CURSOR_PATTERN)]


class EventStreamResponse(Response[OrderStatusEvent]):
    """Responds with `stream`, an ASGI app."""

    def __init__(self, stream: ASGIApp) -> None:
        super().__init__(content=None, media_type=EVENT_STREAM)  # type: ignore[arg-type]  # the stream is the content
        self._stream = stream

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]  # no argument is needed
        return self._stream


@get("/v1/events", before_request=_SIGNED_IN, media_type=EVENT_STREAM, tags=_TAGS, responses=_STREAM_REFUSALS)
async def follow_orders(
    request: SignedInRequest,
    state: State,
    last_event_id: LastEventId = None,
    last_event_id_in_query: LastEventIdInQuery = None,
    shown_too: With = None,
) -> Response[OrderStatusEvent]:
    """Server-sent events of all your orders. Without Last-Event-ID the stream begins with the live ones."""
    seen = last_event_id or last_event_id_in_query
    return await _open_stream(request, state, order_id=None, seen=seen, shows_canteen=shown_too is not None)


@get(
    "/v1/orders/{order_id:uuid}/events",
    before_request=_SIGNED_IN,
    media_type=EVENT_STREAM,
    tags=_TAGS,
    responses=_STREAM_REFUSALS,
)
async def follow_order(
    request: SignedInRequest,
    state: State,
    order_id: FromPath[UUID],
    last_event_id: LastEventId = None,
    last_event_id_in_query: LastEventIdInQuery = None,
) -> Response[OrderStatusEvent]:
    """Server-sent events of one order. The stream waits for an order that has no status yet."""
    return await _open_stream(request, state, order_id=order_id, seen=last_event_id or last_event_id_in_query)


@get("/v1/notifications", before_request=_SIGNED_IN, tags=_TAGS)
async def list_notifications(
    request: SignedInRequest,
    state: State,
    cursor: PositionCursor = None,
    limit: PageLimit = DEFAULT_PAGE,
) -> Notifications:
    """List your notifications and when a stream first showed each, newest first."""
    service: Service = state.service
    return await service.list_notifications(request.user.subject, cursor=cursor, limit=limit)


@get("/v1/ops/notification/orders/{order_id:uuid}", before_request=_OPERATOR, tags=_OPERATIONS)
async def trace_order(state: State, order_id: FromPath[UUID]) -> OrderTrace:
    """Tell what notification knows of an order, by time (operators only). 200 without facts where it is not known here."""
    logs.bind(order_id=str(order_id))
    service: Service = state.service
    return await service.trace_order(order_id)


ROUTES: list[HTTPRouteHandler] = [follow_orders, follow_order, list_notifications, trace_order]


async def _open_stream(
    request: SignedInRequest,
    state: State,
    *,
    order_id: UUID | None,
    seen: str | None,
    shows_canteen: bool = False,
) -> EventStreamResponse:
    """Return the response of a stream. `seen` is the client's last event id. Raises StreamTokenExpired.

    The student's place is taken while the response lasts; a response without one raises StreamsReached.
    """
    service: Service = state.service
    if request.user.expires_at <= now():
        raise StreamTokenExpired
    viewer = Viewer(student_id=request.user.subject, order_id=order_id)

    async def stream_in_its_place(scope: Scope, receive: Receive, send: Send) -> None:
        with service.follow_events.place(viewer):
            stream = await _stream(request, service.follow_events, viewer, seen, shows_canteen=shows_canteen)
            await stream(scope, receive, send)

    return EventStreamResponse(stream_in_its_place)


async def _stream(
    request: SignedInRequest,
    follow_events: FollowEvents,
    viewer: Viewer,
    seen: str | None,
    *,
    shows_canteen: bool,
) -> ASGIApp:
    """Read the first page before the response begins, so that a stream that cannot be read ends at once."""
    expires_at = request.user.expires_at
    try:
        window = await follow_events.open_window(viewer, last_event_id=seen)
        page = await follow_events.read_page(window)
    except DatabaseUnavailable:
        return _end_at_once

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(_STREAM_HEADERS)})
        await _write(send, RETRY_BLOCK)
        events = follow_events.open_stream(
            viewer,
            session=request.user.session,
            expires_at=expires_at,
            write=partial(_write, send),
            abort=abort_of(scope),
            shows_canteen=shows_canteen,
        )
        try:
            await follow_events.follow(events, window, page)
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            events.abandon()

    return stream


async def _end_at_once(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - an ASGI app
    CLOSED.labels("unavailable").inc()
    await send({"type": "http.response.start", "status": 200, "headers": list(_STREAM_HEADERS)})
    await _write(send, LOG_UNAVAILABLE_BLOCK, more=False)


async def _write(send: Send, chunk: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": more})
