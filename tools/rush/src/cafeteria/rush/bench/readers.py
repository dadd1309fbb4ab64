"""Students who watch: open event streams, read with as little CPU as it takes to count what they show."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from cafeteria.rush.bench.generator import BenchError

OPEN_WITHIN_S = 30.0
READY = b'"READY"'
ANY_EVENT = b"event: order.status"


class Readers:
    """All streams of one round."""

    def __init__(self) -> None:
        self.ready = 0
        self.open = 0
        self.lost = 0
        self.all_open = asyncio.Event()
        self.expected = 0

    def opened(self) -> None:
        self.open += 1
        if self.open >= self.expected:
            self.all_open.set()


class _Reader(asyncio.Protocol):
    """One stream. A word that is cut in two by the network is found because the end of a chunk is kept."""

    def __init__(self, readers: Readers, request: bytes) -> None:
        self._readers = readers
        self._request = request
        self._tail = b""
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP connection's always is
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._is_open and data.startswith(b"HTTP/1.1 200"):
            self._is_open = True
            self._readers.opened()
        text = self._tail + data
        self._readers.ready += text.count(READY)
        self._tail = text[-(len(READY) - 1) :]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._readers.lost += 1


def stream_request(token: str) -> bytes:
    return (
        "GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


@asynccontextmanager
async def reading(url: str, tokens: Sequence[str]) -> AsyncIterator[Readers]:
    """One open stream for each token. Raises BenchError when they do not open."""
    readers = Readers()
    readers.expected = len(tokens)
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    transports = []
    try:
        for token in tokens:
            transport, _ = await loop.create_connection(
                partial(_Reader, readers, stream_request(token)), str(address.hostname), address.port or 80
            )
            transports.append(transport)
        async with asyncio.timeout(OPEN_WITHIN_S):
            await readers.all_open.wait()
        yield readers
    except TimeoutError:
        raise BenchError(f"Only {readers.open} of {len(tokens)} streams opened.") from None
    finally:
        for transport in transports:
            transport.abort()
