"""One HTTP connection: an answer never contradicts what was done, and each time limit knows which side acts next.

The table in `uvicorn_server` lists the overrides of uvicorn, and why.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httptools
from litestar.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cafeteria.chassis.http.connection_limits import (
    BODY_GRACE_S,
    BODY_LEAST_BYTES_PER_S,
    BODY_S,
    Address,
    ConnectionLimits,
    Queue,
    TooManyConnections,
)
from cafeteria.chassis.http.gathering_transport import GatheringTransport
from cafeteria.chassis.http.health import HEALTH_PATHS
from cafeteria.chassis.http.refusals import (
    HeadTooLarge,
    RequestTimedOut,
    UnreadableRequest,
    raw_answer,
    refusing,
)
from cafeteria.chassis.http.request_heads import HTTP_1_0, check_head, parse_target, without_upgrade
from cafeteria.chassis.http.uvicorn_cycles import Cycle, Http10Cycle
from cafeteria.chassis.runtime.errors import InvalidRequest, ServiceError

MAX_HEAD_BYTES = 65_536
"""Limit of a request's bytes outside of its body that are not parsed, beside its first read: ours have 8 KiB."""

UNREAD_GRACE_S = 0.5
"""At a stop, for requests that a client has only begun to send, and for answers that a client does not read."""

ABORT_EXTENSION = "cafeteria.abort"

NOTHING, HEAD, BODY = "nothing", "head", "body"
"""The part that is being read; the last two are also the names of the time limits."""


def abort_of(scope: Scope) -> Callable[[], None]:
    """A function that drops the request's connection and its unsent bytes: ASGI itself can only wait for a reader."""
    extension: Any = (scope.get("extensions") or {}).get(ABORT_EXTENSION)
    return extension["abort"] if extension else _nothing


def _nothing() -> None:
    """Do nothing, on another server: the connection then ends when its reader has read it."""


class HttpProtocol(HttpToolsProtocol):
    """One connection. Its requests' scopes carry the function that `abort_of` returns."""

    queue: Queue | None = None
    address: Address | None = None
    refusal: TooManyConnections | None = None

    cycle: Cycle
    transport: GatheringTransport  # type: ignore[assignment]  # which has all that is used of it
    _answering: Cycle | None = None
    """The request that the app answers now; `cycle` is the last one that was read."""
    _last_answer: ServiceError | None = None
    """The answer to unreadable data, sent when every request before it is answered."""
    _has_stopped_reading = False
    """The connection reads no more, and ends after its next answer."""
    _reading = NOTHING
    _pending_bytes: int | None = None
    """Bytes read since the parser's last progress; None between two requests."""
    _body_bytes = 0

    def __init__(self, *arguments: Any, limits: ConnectionLimits, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._limits = limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own narrowing
        super().connection_made(
            cast("asyncio.Transport", GatheringTransport(transport, self._close_after_answer))
        )
        self._limits.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering is not None:  # uvicorn notifies the last one alone
            self._answering.disconnected = not self._answering.response_complete
            self._answering.message_event.set()
        super().connection_lost(exc)
        self._limits.release(self)
        self._limits.forget_unsent(self)

    def data_received(self, data: bytes) -> None:
        if self._has_stopped_reading:
            return
        if self._pending_bytes is not None:
            self._pending_bytes += len(data)
            if self._pending_bytes > MAX_HEAD_BYTES:
                self._refuse(HeadTooLarge())
                return
        try:
            self._parse(data)
        except httptools.HttpParserCallbackError:
            raise  # a bug of ours, which the event loop logs
        except httptools.HttpParserError:
            self._refuse(UnreadableRequest())
        self._wait()

    def _parse(self, data: bytes) -> None:
        """Parse, without an offer to change the protocol, which would stop the parser before the body."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            rest: memoryview[int] | None = memoryview(data)[stop.args[0] :]
            while rest is not None and not self._has_stopped_reading:
                rest = self._parse_without_upgrade(rest)

    def _parse_without_upgrade(self, rest: "memoryview[int]") -> "memoryview[int] | None":
        """Parse the head without its offer, then the rest. Returns what follows the next offer, if there is one."""
        old = self.parser
        head = without_upgrade(old.get_method(), self.url, old.get_http_version(), self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.parser.feed_data(head)
        try:
            self.parser.feed_data(rest)
        except httptools.HttpParserUpgrade as stop:
            return rest[stop.args[0] :]
        return None

    def on_message_begin(self) -> None:
        self._pending_bytes = 0
        self._reading = HEAD
        super().on_message_begin()
        self.scope["extensions"] = {ABORT_EXTENSION: {"abort": self.transport.abort}}

    def on_headers_complete(self) -> None:
        parser, scope = self.parser, self.scope
        method, version = parser.get_method(), parser.get_http_version()
        if parser.should_upgrade() and method != b"CONNECT":
            return  # this head is parsed again, without the offer
        self._pending_bytes = self._body_bytes = 0
        self._reading = BODY
        scope["method"], scope["http_version"] = method.decode("ascii"), version
        app, keep_alive = self.app, parser.should_keep_alive()
        try:
            if method != b"CONNECT":
                scope["path"], scope["raw_path"], scope["query_string"] = parse_target(self.url)
            check_head(method, version, self.headers)
        except InvalidRequest as refusal:
            app = refusing(refusal)
        if self.refusal is not None and scope.get("path") not in HEALTH_PATHS:
            app = refusing(self.refusal)
        if app is not self.app or self.refusal is not None:
            keep_alive = False
            self._stop_reading()
        self._begin(app, version, keep_alive=keep_alive)

    def _begin(self, app: Any, version: str, *, keep_alive: bool) -> None:
        before = self.cycle
        kind = Http10Cycle if version == HTTP_1_0 else Cycle
        cycle = self.cycle = kind(
            scope=self.scope,
            transport=cast("asyncio.Transport", self.transport),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue and kind is Cycle,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._answer(cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, app))

    def _answer(self, cycle: Cycle, app: Any) -> None:
        self._answering = cycle
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        self._pending_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._pending_bytes = None
        self._reading = NOTHING
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._answer(*cast("tuple[Cycle, Any]", self.pipeline.pop()))
            self._limits.wait(self, None)  # a body's time starts when it can be read
            self._wait()
        elif self._last_answer is not None:
            self._end_with(self._last_answer)
        else:
            self._wait()

    def _wait(self) -> None:
        """Move this connection to the queue for what it waits for, which sets its time limit."""
        if self._has_stopped_reading:
            return
        limits = self._limits
        if self._reading is BODY:
            queue = limits.bodies
        elif self.is_unanswered():
            queue = None
        elif self.refusal is not None:
            queue = limits.turned_away
        elif self.cycle is None or self._reading is HEAD:
            queue = limits.heads
        else:
            queue = limits.idle
        limits.wait(self, queue)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._limits.watch_unsent(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._limits.forget_unsent(self)

    def shutdown(self) -> None:
        if not self.is_unanswered():
            self.transport.close_now()
            return
        self.cycle.keep_alive = False
        if self.is_unread():
            self.loop.call_later(UNREAD_GRACE_S, self._close_unread)

    def _close_after_answer(self) -> None:
        """Close after the last answer. A client that may still send gets LINGER_S, or it would lose the answer."""
        if self.address is not None and (self._has_stopped_reading or self._reading is not NOTHING):
            self._has_stopped_reading = True
            self.transport.write_eof()
            self._limits.wait(self, self._limits.lingering)
        else:
            self.transport.close_now()
        if self.transport.get_write_buffer_size():
            self._limits.watch_unsent(self)

    def _refuse(self, refusal: ServiceError) -> None:
        """Read no more: `refusal` answers the incomplete request, after all requests before it."""
        self._stop_reading()
        if self._reading is BODY:
            if self.is_unanswered():
                self.cycle.refuse(refusal)
            else:
                self.transport.close()
        elif self.is_unanswered():
            self._last_answer = refusal
        else:
            self._end_with(refusal)

    def _stop_reading(self) -> None:
        self._has_stopped_reading = True
        self._limits.wait(self, None)

    def _end_with(self, refusal: ServiceError) -> None:
        self._stop_reading()
        self.transport.write(raw_answer(refusal, self.server_state.default_headers))
        self.transport.close()

    def is_unanswered(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def is_unread(self) -> bool:
        return self.is_unanswered() and self.cycle.more_body

    def _close_unread(self) -> None:
        if self.is_unread():
            self.transport.close_now()

    # the interface that the limits use

    def peer_host(self) -> str:
        return self.client[0] if self.client else ""

    def can_be_evicted(self) -> bool:
        return not self.is_unanswered() or (self.cycle.is_awaited and not self.cycle.response_started)

    def evict(self) -> None:
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()
        elif self._reading is NOTHING:
            self.transport.close_now()
        else:
            self._refuse(TooManyConnections())

    def refuse_connection(self) -> None:
        if self.refusal is not None:
            self._end_with(self.refusal)

    def time_out(self) -> str | None:
        if self._reading is NOTHING or self.transport.is_closing():
            self.transport.close_now()
            return None
        self._refuse(RequestTimedOut())
        return self._reading

    def is_body_late(self, age_s: int) -> bool:
        if self.flow.read_paused:  # the server acts next
            return False
        return age_s > BODY_S or (age_s > BODY_GRACE_S and self._body_bytes < BODY_LEAST_BYTES_PER_S * age_s)

    def unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        self.transport.abort()
