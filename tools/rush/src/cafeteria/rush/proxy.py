"""A TCP proxy that stands between one service and one server, and can make the network between them bad.

It knows nothing of the protocols; it delays, cuts, resets, or swallows bytes, in one direction or both.
"""

import asyncio
import random
import socket
import struct
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Self

import msgspec

CHUNK_BYTES = 65536


class Direction(StrEnum):
    """As the service sees it."""

    REQUESTS = "requests"
    REPLIES = "replies"


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """What the network does to the bytes that pass.

    `latency_ms` and `jitter_ms` delay each chunk; directions in `lost` swallow every byte while the connection stays
    open; `cut_after_bytes` breaks each connection in the middle of whatever is passing.
    """

    latency_ms: float = 0
    jitter_ms: float = 0
    lost: frozenset[Direction] = frozenset()
    cut_after_bytes: int | None = None


FAIR = Weather()


class Proxy:
    """Listens on a free port of 127.0.0.1 while its block is open. `weather` may change at any time."""

    def __init__(self, *, host: str, port: int, chance: random.Random) -> None:
        self._upstream = (host, port)
        self._chance = chance
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self.weather = FAIR

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("The proxy is not open.")
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        self.reset_all()

    def reset_all(self) -> None:
        """Break every open connection with a reset: unread bytes are lost on both sides."""
        for pair in list(self._pairs):
            pair.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection(*self._upstream)
        except OSError:
            _reset(writer)
            return
        pair = _Pair(writer, upstream[1])
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._carry(reader, upstream[1], pair, Direction.REQUESTS),
                self._carry(upstream[0], writer, pair, Direction.REPLIES),
            )
        finally:
            self._pairs.discard(pair)
            pair.close()

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, pair: "_Pair", direction: Direction
    ) -> None:
        """One direction of one connection, until either side ends it."""
        with suppress(ConnectionError):
            while chunk := await source.read(CHUNK_BYTES):
                weather = self.weather
                delay_s = (weather.latency_ms + self._chance.random() * weather.jitter_ms) / 1000
                if delay_s:
                    await asyncio.sleep(delay_s)
                if direction in weather.lost:
                    continue
                sink.write(pair.share_before_cut(chunk, weather))
                await sink.drain()
                if pair.is_spent:
                    break
        pair.close()


class _Pair:
    """Both sockets of one proxied connection."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._writers = (client, server)
        self._carried_bytes = 0
        self.is_spent = False

    def share_before_cut(self, chunk: bytes, weather: Weather) -> bytes:
        """What of `chunk` still passes; the rest, and all that follows, does not."""
        self._carried_bytes += len(chunk)
        if weather.cut_after_bytes is None or self._carried_bytes < weather.cut_after_bytes:
            return chunk
        self.is_spent = True
        over = self._carried_bytes - weather.cut_after_bytes
        return chunk[: max(0, len(chunk) - over)]

    def reset(self) -> None:
        for writer in self._writers:
            _reset(writer)

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
