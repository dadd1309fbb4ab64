"""The simulated bad network, on real sockets: bytes pass, are late or are lost, and each side notices it or not."""

import asyncio
import gc
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic

import pytest

from cafeteria.faultkit.proxy import NO_NETWORK_FAULTS, NetworkFaults, Proxy
from cafeteria.faultkit.tcp_proxy import HOST, Direction
from cafeteria.local_stack.polling import until

PATIENCE_S = 20.0
CHANCE = random.Random(1)  # noqa: S311 - repeatable on purpose


class Client:
    """A client's connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, text: bytes) -> None:
        self.writer.write(text)

    async def receive(self, count: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), PATIENCE_S)

    async def end(self) -> bytes:
        """Return the bytes that arrive until the other side closes."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE_S)


class Echo:
    """A server that echoes everything and records what it received."""

    def __init__(self) -> None:
        self.received = b""
        self.lost = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.received += data
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            self.lost.set()
            writer.close()

    async def has_received(self, count: int) -> bytes:
        await until(lambda: len(self.received) >= count, timeout_s=PATIENCE_S)
        return self.received


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    async with await asyncio.start_server(echo.serve, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Proxy(host=HOST, port=port, chance=CHANCE) as proxy:
            yield proxy


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def test_without_a_fault_everything_passes_both_ways(proxy: Proxy) -> None:
    text = CHANCE.randbytes(3_000_000)
    async with connected(proxy) as client:
        client.send(text)
        assert await client.receive(len(text)) == text


async def test_closing_the_client_closes_the_servers_end(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as client:
        client.send(b"a")
        await client.receive(1)
    await asyncio.wait_for(echo.lost.wait(), PATIENCE_S)
    await until(lambda: proxy.connections == 0)


async def test_latency_delays_and_keeps_the_order(proxy: Proxy) -> None:
    proxy.faults = NetworkFaults(latency_ms=60, jitter_ms=40)
    async with connected(proxy) as client:
        began_at = monotonic()
        for number in range(20):
            client.send(bytes([number]))
            await asyncio.sleep(0)
        assert await client.receive(20) == bytes(range(20))
        assert monotonic() - began_at >= 0.12  # there and back


async def test_delayed_bytes_arrive_before_later_ones_when_the_fault_ends(
    proxy: Proxy,
) -> None:
    proxy.faults = NetworkFaults(latency_ms=100)
    async with connected(proxy) as client:
        client.send(b"first")
        await asyncio.sleep(0.02)
        proxy.faults = NO_NETWORK_FAULTS
        client.send(b"then")
        assert await client.receive(9) == b"firstthen"


async def test_a_cut_passes_the_given_bytes_and_ends_the_connection(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as client:
        client.send(b"before")
        await client.receive(6)
        proxy.faults = NetworkFaults(cut_after_bytes=4)
        client.send(b"mid-message")
        await client.end()
        assert await echo.has_received(10) == b"beforemid-"


async def test_a_reset_reaches_both_sides(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as client:
        client.send(b"a")
        await client.receive(1)
        proxy.reset_all()
        with pytest.raises(ConnectionResetError):
            await client.end()
        await asyncio.wait_for(echo.lost.wait(), PATIENCE_S)
    await until(lambda: proxy.connections == 0)


async def test_with_lost_replies_the_server_acts_and_the_client_gets_no_answer(
    proxy: Proxy, echo: Echo
) -> None:
    async with connected(proxy) as client:
        client.send(b"a")
        await client.receive(1)
        proxy.faults = NetworkFaults(lost=frozenset({Direction.REPLIES}))
        client.send(b"COMMIT")
        assert await echo.has_received(7) == b"aCOMMIT"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.1)


async def test_lost_requests_never_arrive(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as client:
        client.send(b"a")
        await client.receive(1)
        proxy.faults = NetworkFaults(lost=frozenset({Direction.REQUESTS}))
        client.send(b"lost")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.1)
        assert echo.received == b"a"


async def test_single_messages_are_dropped_at_any_split_and_others_arrive_unchanged(
    proxy: Proxy, echo: Echo
) -> None:
    kept, lost = b"PUB stock.x 5\r\nhello\r\n", b"PUB $JS.ACK.KITCHEN.work.1 4\r\n+ACK\r\n"
    proxy.faults = NetworkFaults(lost_subject="$JS.ACK.")
    async with connected(proxy) as client:
        for piece in (kept + lost[:9], lost[9:] + kept, lost + kept):
            client.send(piece)
            await asyncio.sleep(0.02)
        assert await echo.has_received(3 * len(kept)) == 3 * kept
        assert proxy.lost_messages == 2
        proxy.faults = NO_NETWORK_FAULTS
        client.send(lost + kept)
        assert await echo.has_received(4 * len(kept) + len(lost)) == 3 * kept + lost + kept


async def test_a_connection_with_lost_bytes_is_reset_when_the_fault_ends_and_others_continue(
    proxy: Proxy,
) -> None:
    async with connected(proxy) as broken, connected(proxy) as intact:
        for client in (broken, intact):
            client.send(b"a")
            await client.receive(1)
        proxy.faults = NetworkFaults(lost=frozenset({Direction.REQUESTS}))
        broken.send(b"lost")
        await asyncio.sleep(0.05)
        proxy.faults = NO_NETWORK_FAULTS
        with pytest.raises(ConnectionResetError):
            await broken.end()
        intact.send(b"b")
        assert await intact.receive(1) == b"b"


async def test_a_half_open_connection_loses_its_server_unnoticed(proxy: Proxy, echo: Echo) -> None:
    async with connected(proxy) as client:
        client.send(b"a")
        await client.receive(1)
        proxy.half_open_all()
        await asyncio.wait_for(echo.lost.wait(), PATIENCE_S)
        client.send(b"anybody?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.1)
    async with connected(proxy) as second:
        second.send(b"b")
        assert await second.receive(1) == b"b"


async def test_without_a_server_a_connection_is_reset() -> None:
    async with await asyncio.start_server(Echo().serve, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
    async with Proxy(host=HOST, port=port, chance=CHANCE) as proxy, connected(proxy) as client:
        with pytest.raises(ConnectionResetError):
            await client.end()


async def test_a_connection_that_is_accepted_while_the_proxy_closes_is_reset(proxy: Proxy) -> None:
    await proxy.__aexit__()
    accepted, client = socket.socketpair()
    with client:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.create_connection(proxy.accept, sock=accepted)
        assert await asyncio.wait_for(loop.sock_recv(client, 1), PATIENCE_S) == b""
    assert proxy.connections == 0


async def test_a_connection_that_is_being_accepted_when_the_proxy_closes_is_closed_too() -> None:
    async with Proxy(host=HOST, port=1, chance=CHANCE) as proxy:
        client = socket.create_connection((HOST, proxy.port))
        for _ in range(2):  # turns of the loop: it has the socket now, and no transport yet
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()  # pytest fails a test that leaves a socket open
    client.settimeout(5)
    with client, suppress(ConnectionResetError):
        assert await asyncio.to_thread(client.recv, 1) == b""
    assert not proxy.open
