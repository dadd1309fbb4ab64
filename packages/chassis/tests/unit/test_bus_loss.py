"""A connection that is frozen with much still to be written to it, and requests while there is none.

On uvloop, as in the services: it lets go of a connection only once it has written everything.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop
from nats.errors import OutboundBufferLimitError

from cafeteria.chassis.bus.client import BusClient

INFO = b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"headers":true}\r\n'
MEBIBYTE = 1 << 20
PATIENCE_S = 10.0


class Server:
    """Speaks enough NATS to be connected to. `freeze` stops it from reading what is connected by then."""

    def __init__(self) -> None:
        self._writers: set[asyncio.StreamWriter] = set()
        self._conversations: set[asyncio.Task[None]] = set()

    def freeze(self) -> None:
        for writer in self._writers:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # of TCP

    async def end(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._conversations)

    def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._conversations.add(asyncio.create_task(self._converse(reader, writer)))

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(INFO)
        with suppress(ConnectionError):
            while head := await reader.readline():
                if head.startswith(b"PING"):
                    writer.write(b"PONG\r\n")
                if head.startswith(b"PUB"):
                    await reader.readexactly(int(head.split()[-1]) + 2)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[BusClient, Server, asyncio.Event]]:
    """A client with the services' ways, its server, and whether it has connected again."""
    server, again = Server(), asyncio.Event()

    async def on_reconnect() -> None:
        again.set()

    async with await asyncio.start_server(server.meet, "127.0.0.1", 0) as listening:
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
            yield client, server, again
        finally:
            with suppress(TimeoutError):  # one that is stuck cannot say goodbye either
                await asyncio.wait_for(client.close(), 1)
            await server.end()


async def ignore(_: object) -> None: ...


def on_uvloop(scene: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(scene(), PATIENCE_S))


def test_a_frozen_connection_is_left_also_with_much_still_to_be_written() -> None:
    async def scene() -> None:
        async with connected() as (client, server, again):
            server.freeze()
            for _ in range(40):
                await client.publish("news", b"x" * MEBIBYTE)
                await asyncio.sleep(0)
            await again.wait()
            await client.flush()

    on_uvloop(scene)


def test_a_request_that_cannot_be_sent_leaves_nothing_behind() -> None:
    async def scene() -> None:
        async with connected() as (client, _, __):
            client._status = client.RECONNECTING
            for _ in range(10):
                with pytest.raises(OutboundBufferLimitError):
                    await client.request("anybody", b"?")
            assert client._resp_map == {}
            client._status = client.CONNECTED

    on_uvloop(scene)
