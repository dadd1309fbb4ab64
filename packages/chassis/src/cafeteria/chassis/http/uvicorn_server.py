"""uvicorn, with a server's duties that it leaves out: limits of time, HTTP/1.0, a stop within seconds.

| what is overridden | why | the test that notices |
|---|---|---|
| `Server.startup` is given 64 listeners, `main_loop` never runs | one listener takes one connection in a round of the event loop | `test_a_crowd_of_new_connections_is_taken_in_a_few_rounds_of_the_event_loop` |
| `Server.shutdown`, by `_stop` | it waits for open streams and calls a slow reader an error | `test_server.py` |
| `HttpToolsProtocol.data_received` | answers under way are overwritten, heads have no end, an offer of another protocol ends the connection | `test_http_1_1.py` |
| `on_headers_complete` | Host is not looked at; HTTP/1.0 connections never go on | `test_http_1_1.py`, `test_http_1_0.py` |
| `on_message_begin`, `on_body`, `on_message_complete`, `on_response_complete` | who is to act next, for the limits of time, without a timer for each request | `test_slow_clients.py` |
| `pause_writing`, `resume_writing` | an answer that is not taken keeps its connection for ever | `test_slow_clients.py` |
| `connection_made`, `connection_lost` | caps; writes leave together; of several requests only the last is told that its client is gone | `test_slow_clients.py`, `test_http_1_1.py` |
| `shutdown` | a request half sent holds up the stop | `test_slow_readers_and_half_sent_requests_do_not_hold_it_up` |
| `RequestResponseCycle.receive`, `send` for HTTP/1.0 | a body that does not come is waited for; HTTP/1.0 knows no chunks | `test_slow_clients.py`, `test_http_1_0.py` |

`test_uvicorn_overrides.py` holds these names, and those that are only read, against the installed release.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import uvicorn
from litestar import Litestar

from cafeteria.chassis import logs
from cafeteria.chassis.http.connection_limits import ConnectionLimits
from cafeteria.chassis.http.uvicorn_protocol import UNREAD_GRACE_S, HttpProtocol

BACKLOG = 2048
ACCEPTED_AT_ONCE = 64
"""libuv accepts one connection for a listener in a round of the event loop. Under load rounds take tens of
milliseconds, and whoever comes meanwhile would wait for seconds, or try again after 1, 3, 7 ... once the backlog is full."""

GRACE_S = 2.0
"""For requests in flight; the lifespan has the rest of the three seconds that a stop may take."""

ABANDON_S = 0.2
"""For what notices that its connection is gone; what does not is cancelled."""

LOOK_S = 1.0
"""Between two looks at the limits of time, and at the clock for the Date header."""

_POLL_S = 0.01
_log = logs.get_logger()


class HttpServer(uvicorn.Server):
    """Serves one app; `closing` is set first of all when it stops."""

    def __init__(self, app: Litestar, closing: asyncio.Event, limits: ConnectionLimits) -> None:
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
                proxy_headers=False,
                workers=1,  # or WEB_CONCURRENCY is read, which is another program's
                backlog=BACKLOG,
            )
        )
        self._closing = closing
        self._limits = limits

    @asynccontextmanager
    async def listening(self, listener: socket.socket) -> AsyncIterator[None]:
        """Accept on a bound socket; leaving stops."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.on_tick(0)
        await self.startup(sockets=[listener, *(listener.dup() for _ in range(ACCEPTED_AT_ONCE - 1))])
        looking = asyncio.create_task(self._look(), name="http-limits")
        try:
            yield
        finally:
            looking.cancel()
            await self._stop()

    async def _look(self) -> None:
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
