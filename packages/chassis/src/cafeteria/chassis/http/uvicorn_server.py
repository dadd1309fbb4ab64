"""uvicorn with missing duties of a server added: time limits, HTTP/1.0, a stop within seconds.

| what is overridden | why | the test that notices |
|---|---|---|
| `Server.startup` gets 64 listeners, `main_loop` never runs | one listener accepts one connection in an iteration of the event loop | `test_many_new_connections_are_accepted_in_a_few_iterations_of_the_event_loop` |
| `Server.shutdown`, by `_stop` | it waits for open streams and calls a slow reader an error | `test_server.py` |
| `HttpToolsProtocol.data_received` | answers in progress are overwritten, heads have no limit, an offer of another protocol ends the connection | `test_http_1_1.py` |
| `on_headers_complete` | Host is not checked; HTTP/1.0 connections are never kept | `test_http_1_1.py`, `test_http_1_0.py` |
| `on_message_begin`, `on_body`, `on_message_complete`, `on_response_complete` | which side acts next, for the time limits, without a timer for each request | `test_slow_clients.py` |
| `pause_writing`, `resume_writing` | an unread answer keeps its connection for ever | `test_slow_clients.py` |
| `connection_made`, `connection_lost` | caps; joined writes; of several requests only the last is notified that its client is gone | `test_slow_clients.py`, `test_http_1_1.py` |
| `shutdown` | a half-sent request delays the stop | `test_slow_readers_and_half_sent_requests_do_not_delay_the_stop` |
| `RequestResponseCycle.receive`, `send` for HTTP/1.0 | a missing body is waited for without limit; HTTP/1.0 has no chunks | `test_slow_clients.py`, `test_http_1_0.py` |

`test_uvicorn_overrides.py` checks these names, and those that are only read, against the installed release.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import uvicorn
from litestar import Litestar

from cafeteria.chassis.http.connection_limits import ConnectionLimits
from cafeteria.chassis.http.security_headers import of_every_answer
from cafeteria.chassis.http.uvicorn_protocol import UNREAD_GRACE_S, HttpProtocol
from cafeteria.chassis.observability import logs

BACKLOG = 2048
ACCEPTED_AT_ONCE = 64
"""libuv accepts one connection for a listener in an iteration of the event loop. Under load an iteration takes tens of
milliseconds; new clients would wait for seconds, or, with a full backlog, retry after 1, 3, 7 ... seconds."""

GRACE_S = 2.0
"""For requests in flight; the lifespan gets the rest of the three seconds of a stop."""

ABANDON_S = 0.2
"""For tasks that notice that their connection is gone; the others are then cancelled."""

LOOK_S = 1.0
"""Between two checks of the time limits, and of the clock for the Date header."""

_POLL_S = 0.01
_log = logs.get_logger()


class HttpServer(uvicorn.Server):
    """Serves one app; a stop sets `closing` first."""

    def __init__(
        self, app: Litestar, closing: asyncio.Event, limits: ConnectionLimits, *, is_https_alone: bool
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[HttpProtocol]", partial(HttpProtocol, limits=limits)),
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                server_header=False,
                headers=of_every_answer(is_https_alone=is_https_alone),
                proxy_headers=False,
                workers=1,  # otherwise uvicorn reads WEB_CONCURRENCY, which is for other programs
                backlog=BACKLOG,
            )
        )
        self._closing = closing
        self._limits = limits

    @asynccontextmanager
    async def listening(
        self, listener: socket.socket, *, accepted_at_once: int = ACCEPTED_AT_ONCE
    ) -> AsyncIterator[None]:
        """Accept on a bound socket; leaving the context stops."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.on_tick(0)
        await self.startup(sockets=[listener, *(listener.dup() for _ in range(accepted_at_once - 1))])
        checking = asyncio.create_task(self._check_limits(), name="http-limits")
        try:
            yield
        finally:
            checking.cancel()
            await self._stop()

    async def _check_limits(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self.on_tick(0)
            self._limits.look()

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
        """Wait until every request is answered, at most GRACE_S; for unread answers at most UNREAD_GRACE_S."""
        loop = asyncio.get_running_loop()
        state = self.server_state
        notified: set[object] = set()
        now = loop.time()
        until, unread_until = now + GRACE_S, now + UNREAD_GRACE_S
        while (state.connections or state.tasks) and (now := loop.time()) < until:
            for connection in state.connections - notified:
                connection.shutdown()
                notified.add(connection)
            if state.tasks:
                unread_until = now + UNREAD_GRACE_S
            elif now > unread_until:
                break
            await asyncio.sleep(_POLL_S)
