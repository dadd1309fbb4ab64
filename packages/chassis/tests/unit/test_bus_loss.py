"""A connection that is frozen with much still to be written to it, and requests while there is none.

On uvloop, as in the services: it lets go of a connection only once it has written everything.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop
from nats.errors import OutboundBufferLimitError

from cafeteria.chassis.messaging.nats_client import BusClient

INFO = b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"headers":true}\r\n'
MEBIBYTE = 1 << 20
PATIENCE_S = 10.0


class Server:
    """Speaks enough NATS to be connected to. `freeze` stops it from reading what is connected by then.

    It says nothing but its end on the next `half_greetings` connections, and notes when they are left.
    """

    def __init__(self) -> None:
        self.half_greetings = 0
        self.left = asyncio.Semaphore(0)
        self._writers: set[asyncio.StreamWriter] = set()
        self._conversations: set[asyncio.Task[None]] = set()

    def freeze(self) -> None:
        for writer in self._writers:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # of TCP

    def drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def end(self) -> None:
        self.drop()
        await asyncio.gather(*self._conversations)

    def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._conversations.add(asyncio.create_task(self._converse(reader, writer)))

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.half_greetings:
            self.half_greetings -= 1
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


def test_a_try_that_got_no_further_than_a_greeting_is_left_before_the_next() -> None:
    async def scene() -> None:
        async with connected() as (client, server, again):
            held = []
            connect = client._connect_to_server

            async def connect_and_hold(address: Any) -> None:
                await connect(address)
                held.append(client._transport._io_writer)  # or the collector would close it, as it comes by

            client._connect_to_server = connect_and_hold  # type: ignore[method-assign]
            server.half_greetings = 2
            server.drop()
            await again.wait()
            assert [writer.is_closing() for writer in held] == [True, True, False]
            await server.left.acquire()
            await server.left.acquire()

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
