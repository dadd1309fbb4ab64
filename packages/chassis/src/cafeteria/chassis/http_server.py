"""uvicorn, stopped our way: it ends by events rather than by polling, and logs no error for a clean stop.

uvicorn itself waits for open streams, dies by the signal that it caught, calls a slow reader an error, and reads
headers without end.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, cast

import uvicorn
from litestar import Litestar
from litestar.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cafeteria.chassis import logs
from cafeteria.chassis.errors import InvalidRequest, ServiceError
from cafeteria.chassis.problem_documents import PROBLEM_JSON, TooLarge, encode_problem

BACKLOG = 2048
ACCEPTED_AT_ONCE = 64
"""libuv accepts one connection for a listener in a round of the event loop. Under load rounds take tens of
milliseconds, and whoever comes meanwhile would wait for seconds, or try again after 1, 3, 7 ... once the backlog is full."""

KEEP_ALIVE_S = 65
"""Longer than load balancers keep an idle connection, so that we never close one under a request."""

GRACE_S = 2.0
"""For requests in flight; the lifespan has the rest of the three seconds that a stop may take."""

UNREAD_GRACE_S = 0.5
"""For a request that its client has only begun to send, and for answers that a client does not take."""

MAX_HEAD_BYTES = 65_536
"""Of a request that are neither body nor read to their end, beside what its first read brought: ours have 8 KiB."""

GATHERED_BYTES = 16_384

ABORT_EXTENSION = "cafeteria.abort"

ABANDON_S = 0.2
"""For what notices that its connection is gone; what does not is cancelled."""

DATE_S = 1.0
_POLL_S = 0.01
_log = logs.get_logger()


def abort_of(scope: Scope) -> Callable[[], None]:
    """What drops the request's connection with all that is not sent yet: ASGI itself can only wait for a reader."""
    extension: Any = (scope.get("extensions") or {}).get(ABORT_EXTENSION)
    return extension["abort"] if extension else _nothing


def _nothing() -> None:
    """Another server than ours: the connection ends when its reader lets it."""


class HttpServer(uvicorn.Server):
    """Serves one app; `closing` is set first of all when it stops."""

    def __init__(self, app: Litestar, closing: asyncio.Event) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                workers=1,  # or WEB_CONCURRENCY is read, which is another program's
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )
        self._closing = closing

    @asynccontextmanager
    async def listening(self, listener: socket.socket) -> AsyncIterator[None]:
        """Accept on a bound socket; leaving stops."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.on_tick(0)
        await self.startup(sockets=[listener, *(listener.dup() for _ in range(ACCEPTED_AT_ONCE - 1))])
        dating = asyncio.create_task(self._keep_date(), name="http-date")
        try:
            yield
        finally:
            dating.cancel()
            await self._stop()

    async def _keep_date(self) -> None:
        while True:
            await asyncio.sleep(DATE_S)
            await self.on_tick(0)

    async def _stop(self) -> None:
        self._closing.set()
        for server in self.servers:
            server.close()
        await self._drain()
        state = self.server_state
        connections = cast("set[HttpProtocol]", state.connections)
        unanswered = sum(connection.is_unanswered() for connection in connections)
        if unanswered:
            _log.warning("requests_abandoned", requests=unanswered)
        for connection in list(connections):
            connection.transport.abort()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=ABANDON_S)
        for task in state.tasks:
            task.cancel()

    async def _drain(self) -> None:
        """Until every request is answered, GRACE_S at most; answers that nobody takes are not waited for as long."""
        loop = asyncio.get_running_loop()
        state = self.server_state
        told: set[object] = set()
        now = loop.time()
        until, unread_until = now + GRACE_S, now + UNREAD_GRACE_S
        while (state.connections or state.tasks) and (now := loop.time()) < until:
            for connection in state.connections - told:
                connection.shutdown()
                told.add(connection)
            if state.tasks:
                unread_until = now + UNREAD_GRACE_S
            elif now > unread_until:
                break
            await asyncio.sleep(_POLL_S)


class HeadTooLarge(TooLarge):
    status = 431
    title = "Request header fields too large"

    def __init__(self) -> None:
        super().__init__(
            "The request's address and headers are larger than this service takes. Nothing was done."
        )


class _Gathering:
    """A transport whose writes of one round of the event loop leave together: an answer's head and its body."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._chunks: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        if not self._chunks:
            self._loop.call_soon(self._flush)
        self._chunks.append(data)
        self._bytes += len(data)
        if self._bytes > GATHERED_BYTES:  # or who writes without end would never meet a full buffer
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        chunks, self._chunks, self._bytes = self._chunks, [], 0
        if chunks and not self._transport.is_closing():
            self._transport.write(b"".join(chunks))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class HttpProtocol(HttpToolsProtocol):
    """One connection. Its requests' scopes carry what `abort_of` finds."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own narrowing
        super().connection_made(cast("asyncio.Transport", _Gathering(transport)))

    _pending_bytes: int | None = None
    """Read since the last that led to something; None between two requests."""

    def data_received(self, data: bytes) -> None:
        if self._pending_bytes is not None:
            self._pending_bytes += len(data)
            if self._pending_bytes > MAX_HEAD_BYTES:
                self._refuse(HeadTooLarge())
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._pending_bytes = 0
        super().on_message_begin()
        self.scope["extensions"] = {ABORT_EXTENSION: {"abort": self.transport.abort}}

    def on_headers_complete(self) -> None:
        self._pending_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._pending_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._pending_bytes = None
        super().on_message_complete()

    def shutdown(self) -> None:
        super().shutdown()
        if self.is_unread():
            self.loop.call_later(UNREAD_GRACE_S, self._leave_unread)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """What is no HTTP never reaches the app; it too is answered with a problem document."""
        self._refuse(InvalidRequest("This is not an HTTP request that can be understood."))

    def _refuse(self, refusal: ServiceError) -> None:
        body = encode_problem(refusal, instance=None, request_id=None)
        head = (
            f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\n"
            f"content-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def is_unanswered(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def is_unread(self) -> bool:
        return self.is_unanswered() and self.cycle.more_body

    def _leave_unread(self) -> None:
        if self.is_unread():
            self.transport.close()
