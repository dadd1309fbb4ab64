"""A service's app behind a real HTTP server, in the loop of the test."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from litestar import Litestar

from cafeteria.local_stack import ports

START_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 5.0
POLL_S = 0.01


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to pytest."""
        yield


@contextlib.asynccontextmanager
async def serve_app(app: Litestar) -> AsyncIterator[str]:
    """Yields the base URL once the app's lifespan has begun; leaving runs its end."""
    listener = socket.create_server((ports.HOST, 0), backlog=1024)
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(CLOSE_TIMEOUT_S),
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _started(server, serving)
        yield f"http://{ports.HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


async def _started(server: uvicorn.Server, serving: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while not server.started:
            if serving.done():
                raise RuntimeError("the app ended while it started: its log says why")
            await asyncio.sleep(POLL_S)
