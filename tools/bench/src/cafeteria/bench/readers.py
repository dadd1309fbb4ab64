"""Readers of open event streams that count events with little CPU."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import time
from urllib.parse import urlsplit

import msgspec

from cafeteria.bench.generator import BenchError
from cafeteria.bench.requests import stream
from cafeteria.contracts.notification import OrderStatusEvent

OPEN_WITHIN_S = 30.0
READY = b'"READY"'

_decode = msgspec.json.Decoder(OrderStatusEvent).decode


class Readers:
    """All streams of one round. With `timed` they also record each event's age on arrival, which costs more CPU."""

    def __init__(self, *, timed: bool = False) -> None:
        self.timed = timed
        self.ready = 0
        self.ages_s: list[float] = []
        self.open = 0
        self.lost = 0
        self.all_open = asyncio.Event()
        self.expected = 0

    def opened(self) -> None:
        self.open += 1
        if self.open >= self.expected:
            self.all_open.set()


class Reader(asyncio.Protocol):
    """One stream. It keeps the end of each chunk, so that it also counts a status that is split between two chunks."""

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
        if self._readers.timed:
            self._record_ages(data)
        text = self._tail + data
        self._readers.ready += text.count(READY)
        self._tail = text[-(len(READY) - 1) :]

    def _record_ages(self, data: bytes) -> None:
        """Record the ages of the kitchen's events, from their `at`. Blocks are not split between chunks."""
        now = time()
        for line in data.split(b"\n"):
            if line.startswith(b"data: ") and (b'"version":3' in line or b'"version":4' in line):
                try:
                    event = _decode(line[6:])
                except msgspec.MsgspecError:
                    continue
                self._readers.ages_s.append(now - event.at.timestamp())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._readers.lost += 1


@asynccontextmanager
async def reading(
    url: str, tokens: Sequence[str], *, timed: bool = False, within_s: float = OPEN_WITHIN_S
) -> AsyncIterator[Readers]:
    """Open a stream for each token. Raises BenchError if they do not open within `within_s` seconds."""
    readers = Readers(timed=timed)
    readers.expected = len(tokens)
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    transports = []
    try:
        for token in tokens:
            transport, _ = await loop.create_connection(
                partial(Reader, readers, stream(token)), str(address.hostname), address.port or 80
            )
            transports.append(transport)
        await _wait_until_open(readers, within_s=within_s)
        yield readers
    finally:
        for transport in transports:
            transport.abort()


async def _wait_until_open(readers: Readers, *, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await readers.all_open.wait()
    except TimeoutError:
        raise BenchError(f"Only {readers.open} of {readers.expected} streams opened.") from None
