"""The edge before small servers that record what reaches them, for tests of what it passes on and how."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from cafeteria.local_stack import ports
from cafeteria.local_stack.data_directory import temporary_data_directory
from cafeteria.local_stack.edge import EDGE, Edge
from cafeteria.local_stack.servers import supervised
from cafeteria.local_stack.supervised_process import SupervisedProcess

MAX_BODY_BYTES = 1 << 20
END_OF_CHUNKS = b"0\r\n\r\n"


class Received(NamedTuple):
    """One request: its target as it was sent, its headers by name in lower case, its body."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Upstream:
    """Answers each request with its name as JSON, or with what `answer` writes, and keeps the connection."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = ports.free_port()
        self.received: list[Received] = []
        self.answer: Answer = self.tell_name

    async def tell_name(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"reached": self.name}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Upstream"]:
        tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if task := asyncio.current_task():
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self._serve(reader, writer)
            writer.transport.abort()

        server = await asyncio.start_server(serve, ports.HOST, self.port, limit=MAX_BODY_BYTES)
        try:
            yield self
        finally:
            server.close()
            for task in tuple(tasks):
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            self.received.append(await _read(reader))
            await self.answer(reader, writer)
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Received:
    request, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    method, target, _ = request.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "transfer-encoding" in headers:
        body = await reader.readuntil(END_OF_CHUNKS)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, target, headers, body)


class BehindEdge(NamedTuple):
    """A running edge and its upstreams by name."""

    edge: Edge
    process: SupervisedProcess
    upstreams: dict[str, Upstream]


@asynccontextmanager
async def behind_edge(
    names: Iterable[str], *, site: Path, away: Iterable[str] = (), demo: str = ""
) -> AsyncIterator[BehindEdge]:
    """Run the edge before an upstream for each name; at the addresses of those `away` nothing listens.

    `site` holds the pages. The upstream named `demo` is the control of a demonstration.
    """
    async with AsyncExitStack() as stack:
        home = stack.enter_context(temporary_data_directory())
        upstreams = {name: await stack.enter_async_context(Upstream(name).running()) for name in names}
        control = f"{ports.HOST}:{upstreams[demo].port}" if demo else ""
        edge = Edge(
            home=home,
            host=ports.HOST,
            port=ports.free_port(),
            upstreams={name: [upstream.port] for name, upstream in upstreams.items() if name != demo}
            | {name: [ports.free_port()] for name in away},
            demo=control,
            site=site,
        )
        process = supervised(EDGE, edge, home=home, keep=False)
        await process.start()
        stack.push_async_callback(process.stop)
        yield BehindEdge(edge, process, upstreams)


async def raw(edge: Edge, request: bytes) -> bytes:
    """Send bytes to the edge on a connection of their own; return its whole answer once it closes the connection."""
    reader, writer = await asyncio.open_connection(ports.HOST, edge.port)
    writer.write(request)
    try:
        return await reader.read()
    finally:
        writer.close()
