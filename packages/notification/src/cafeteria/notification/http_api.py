"""HTTP's door: two event streams and the delivery log. Each shows what is the signed-in student's own.

A stream's answer is written here by hand: Litestar's own would keep two more tasks for each open one.
"""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, HeaderParameter, QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send

from cafeteria.chassis.http_server import abort_of
from cafeteria.chassis.tokens import SignedInRequest, requires
from cafeteria.contracts.notification import Notifications, OrderStatusEvent
from cafeteria.notification.domain import Viewer
from cafeteria.notification.service import NotificationService

EVENT_STREAM = "text/event-stream"
RESUME_AFTER_MS = 1000  # a client whose stream ended waits this long: a restart takes about as long
RETRY_BLOCK = b"retry: %d\n\n" % RESUME_AFTER_MS
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


class EventsAnswer(Response[OrderStatusEvent]):
    """Runs `stream`, which answers until it ends."""

    def __init__(self, stream: ASGIApp) -> None:
        super().__init__(content=None, media_type=EVENT_STREAM)  # type: ignore[arg-type]  # the content is what happens
        self._stream = stream

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]  # Litestar asks for any app
        return self._stream


@get("/v1/events", before_request=_SIGNED_IN, media_type=EVENT_STREAM, tags=_TAGS)
async def follow_orders(
    request: SignedInRequest, state: State, last_event_id: LastEventId = None
) -> Response[OrderStatusEvent]:
    """Server-sent events: what becomes of all your orders. Without Last-Event-ID it begins with the live ones."""
    return await _answer(request, state, order_id=None, last_event_id=last_event_id)


@get("/v1/orders/{order_id:uuid}/events", before_request=_SIGNED_IN, media_type=EVENT_STREAM, tags=_TAGS)
async def follow_order(
    request: SignedInRequest, state: State, order_id: FromPath[UUID], last_event_id: LastEventId = None
) -> Response[OrderStatusEvent]:
    """Server-sent events of one order; one that nobody has heard of yet is waited for."""
    return await _answer(request, state, order_id=order_id, last_event_id=last_event_id)


@get("/v1/notifications", before_request=_SIGNED_IN, tags=_TAGS)
async def list_notifications(
    request: SignedInRequest,
    state: State,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
) -> Notifications:
    """What was sent to you and whether a stream took it, newest first."""
    service: NotificationService = state.service
    return await service.history(request.user.student_id, cursor=cursor, limit=limit)


ROUTES: list[HTTPRouteHandler] = [follow_orders, follow_order, list_notifications]


async def _answer(
    request: SignedInRequest, state: State, *, order_id: UUID | None, last_event_id: str | None
) -> EventsAnswer:
    """The backlog's first page is read before the answer begins: without the database that is a 503."""
    service: NotificationService = state.service
    viewer = Viewer(student_id=request.user.student_id, order_id=order_id)
    backlog = await service.open_backlog(viewer, last_event_id=last_event_id)
    page = await service.read_backlog(backlog)
    expires_at = request.user.expires_at

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


async def _write(send: Send, chunk: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": more})
