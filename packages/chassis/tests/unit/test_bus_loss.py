"""The client leaves a frozen connection with many unwritten bytes; without a connection its requests fail at once.

The tests run on uvloop, as the services do: uvloop ends a connection only after it has written all pending bytes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest
import uvloop
from nats.errors import OutboundBufferLimitError

from cafeteria.chassis.messaging.nats_client import BusClient

INFO = b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"headers":true}\r\n'
MEBIBYTE = 1 << 20
PATIENCE_S = 10.0


class Server:
    """A server with as much of the NATS protocol as a client needs to connect.

    `freeze` stops reading from all current connections. On each of the next `half_open` connections the server only
    closes its own side; it releases `left` when the client has closed the other one.
    """

    def __init__(self) -> None:
        self.half_open = 0
        self.left = asyncio.Semaphore(0)
        self._writers: set[asyncio.StreamWriter] = set()
        self._sessions: set[asyncio.Task[None]] = set()

    def freeze(self) -> None:
        for writer in self._writers:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # of TCP

    def drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def end(self) -> None:
        self.drop()
        await asyncio.gather(*self._sessions)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._sessions.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.half_open:
            self.half_open -= 1
            writer.write_eof()
            with suppress(ConnectionError):
                await reader.read()
            self.left.release()
            return
        writer.write(INFO)
        with suppress(ConnectionError):
            while head := await reader.readline():
                if head.startswith(b"PING"):
                    writer.write(b"PONG\r\n")
                if head.startswith(b"PUB"):
                    await reader.readexactly(int(head.split()[-1]) + 2)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[BusClient, Server, asyncio.Event]]:
    """Yield a client with the services' options, its server, and an event that is set after a reconnect."""
    server, reconnected = Server(), asyncio.Event()

    async def on_reconnect() -> None:
        reconnected.set()

    async with await asyncio.start_server(server.accept, "127.0.0.1", 0) as listening:
        client = BusClient()
        await client.connect(
            f"nats://127.0.0.1:{listening.sockets[0].getsockname()[1]}",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.05,  # type: ignore[arg-type]  # any number of seconds works
            ping_interval=0.2,  # type: ignore[arg-type]  # the same
            pending_size=-1,
            error_cb=ignore,
            reconnected_cb=on_reconnect,
        )
        try:
            yield client, server, reconnected
        finally:
            with suppress(TimeoutError):  # a client that is stuck cannot close either
                await asyncio.wait_for(client.close(), 1)
            await server.end()


async def ignore(_: object) -> None: ...


def on_uvloop(test: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(test(), PATIENCE_S))


def test_the_client_leaves_a_frozen_connection_with_many_unwritten_bytes() -> None:
    async def test() -> None:
        async with connected() as (client, server, reconnected):
            server.freeze()
            for _ in range(40):
                await client.publish("topic", b"x" * MEBIBYTE)
                await asyncio.sleep(0)
            await reconnected.wait()
            await client.flush()

    on_uvloop(test)


def test_the_client_closes_a_failed_connection_before_the_next_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        async with connected() as (client, server, reconnected):
            transports: list[Any] = []
            connect = client._connect_to_server

            async def connect_and_record(s: Any) -> None:
                await connect(s)
                # the list also keeps the garbage collector from closing it
                transports.append(cast("Any", client._transport)._io_writer)

            monkeypatch.setattr(client, "_connect_to_server", connect_and_record)
            server.half_open = 2
            server.drop()
            await reconnected.wait()
            assert [writer.is_closing() for writer in transports] == [True, True, False]
            await server.left.acquire()
            await server.left.acquire()

    on_uvloop(test)


def test_a_request_that_cannot_be_sent_leaves_no_entry_behind() -> None:
    async def test() -> None:
        async with connected() as (client, _, __):
            client._status = client.RECONNECTING
            for _ in range(10):
                with pytest.raises(OutboundBufferLimitError):
                    await client.request("subject", b"?")
            assert client._resp_map == {}
            client._status = client.CONNECTED

    on_uvloop(test)
