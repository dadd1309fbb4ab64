"""A TCP proxy between one service and one server that forwards whole messages and asks a watcher about each first.

A message that the watcher holds never passes, nor does anything after it on that connection in that direction. Bytes
that left the service before it was killed still reach the server, as the kernel would have delivered them.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Protocol, Self

import msgspec

from cafeteria.crash_points.naming import Marks, Named
from cafeteria.crash_points.nats_names import NatsNames
from cafeteria.crash_points.postgres_frames import PostgresFrames
from cafeteria.crash_points.postgres_names import PostgresNames
from cafeteria.faultkit.nats_frames import NatsFrames
from cafeteria.faultkit.proxy import HOST, Direction

POSTGRES, NATS = "postgres", "nats"
CONNECT_TIMEOUT_S = 5.0
DRAIN_POLL_S = 0.001


class Place(msgspec.Struct, frozen=True):
    """A link between a service and a server."""

    service: str
    server: str


class Passage(Enum):
    """A watcher's decision about one message."""

    FREE = "it passes"
    LAST = "it passes, and nothing after it"
    HELD = "it does not pass, nor anything after it"


class Watcher(Protocol):
    """Receives every message that has a name, in the order in which they pass, and decides whether it passes."""

    def passage(self, place: Place, direction: Direction, message: Named) -> Passage: ...

    def all_arrived(self) -> None:
        """Called when the other side has received everything before a HELD message, or up to the LAST one."""


class _Codec(Protocol):
    """Cuts the bytes of one connection into messages and names them."""

    def understand(self, chunk: bytes, direction: Direction) -> list[tuple[bytes, Named | None]]: ...


class _Postgres:
    def __init__(self, marks: Marks) -> None:
        self._frames = PostgresFrames()
        self._names = PostgresNames(marks)

    def understand(self, chunk: bytes, direction: Direction) -> list[tuple[bytes, Named | None]]:
        frames = self._frames.feed(chunk, direction)
        return [(frame.raw, self._names.name(frame, direction)) for frame in frames]


class _Nats:
    def __init__(self, marks: Marks) -> None:
        self._frames = {direction: NatsFrames() for direction in Direction}
        self._names = NatsNames(marks)

    def understand(self, chunk: bytes, direction: Direction) -> list[tuple[bytes, Named | None]]:
        frames = self._frames[direction].feed(chunk)
        return [(frame.raw, self._names.name(frame, direction)) for frame in frames]


_CODECS: dict[str, Callable[[Marks], _Codec]] = {POSTGRES: _Postgres, NATS: _Nats}


class Tap:
    """Listens on a free port of 127.0.0.1 inside its block. Without a watcher everything passes."""

    def __init__(self, place: Place, *, port: int, marks: Marks) -> None:
        self.place = place
        self.upstream_port = port
        self.watcher: Watcher | None = None
        self.pairs: set[_Pair] = set()
        self._marks = marks
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("The tap is not open.")
        return int(self._server.sockets[0].getsockname()[1])

    def tongue(self) -> _Codec:
        return _CODECS[self.place.server](self._marks)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Pair(self).client, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for pair in list(self.pairs):
            pair.close()


class _Pair:
    """Both ends of one proxied connection."""

    def __init__(self, tap: Tap) -> None:
        self.tap = tap
        self.client = _End(self, Direction.REQUESTS)
        self.server = _End(self, Direction.REPLIES)
        self._codec = tap.tongue()
        self._cut_off: set[Direction] = set()
        self._connecting: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self.tap.pairs.add(self)
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        self.client.pause()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(lambda: self.server, HOST, self.tap.upstream_port)
        except (OSError, TimeoutError):
            self.close()
        else:
            self.client.resume()
            if not self.client.is_open:  # the client closed while the proxy was connecting
                self.close()

    def carry(self, chunk: bytes, direction: Direction) -> None:
        if direction in self._cut_off:
            return
        sink = self.server if direction is Direction.REQUESTS else self.client
        passing: list[bytes] = []
        for raw, message in self._codec.understand(chunk, direction):
            passage = self._passage(direction, message)
            if passage is not Passage.HELD:
                passing.append(raw)
            if passage is not Passage.FREE:
                self._cut_off.add(direction)
                break
        sink.send(b"".join(passing))
        if direction in self._cut_off and self.tap.watcher is not None:
            sink.when_drained(self.tap.watcher.all_arrived)

    def _passage(self, direction: Direction, message: Named | None) -> Passage:
        watcher = self.tap.watcher
        if watcher is None or message is None:
            return Passage.FREE
        return watcher.passage(self.tap.place, direction, message)

    def ended(self) -> None:
        self.close()
        self.tap.pairs.discard(self)

    def close(self) -> None:
        """Close both ends after their buffered bytes are sent."""
        for end in (self.client, self.server):
            end.close()


class _End(asyncio.Protocol):
    """One socket; it passes received bytes to the pair."""

    def __init__(self, pair: _Pair, direction: Direction) -> None:
        self._pair = pair
        self._direction = direction
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a TCP connection has a readable and writable transport")
        self._transport = transport
        if self._direction is Direction.REQUESTS:
            self._pair.begin()

    def data_received(self, data: bytes) -> None:
        self._pair.carry(data, self._direction)

    def connection_lost(self, _reason: Exception | None) -> None:
        self._transport = None
        self._pair.ended()

    def pause_writing(self) -> None:
        self._peer.pause()

    def resume_writing(self) -> None:
        self._peer.resume()

    def pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def send(self, chunk: bytes) -> None:
        if chunk and self._transport is not None and not self._transport.is_closing():
            self._transport.write(chunk)

    def when_drained(self, tell: Callable[[], None]) -> None:
        """Call `tell` once the kernel has taken all bytes: over the loopback the other side has them then."""
        if self._transport is not None and self._transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(DRAIN_POLL_S, self.when_drained, tell)
        else:
            tell()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    @property
    def _peer(self) -> "_End":
        return self._pair.server if self._direction is Direction.REQUESTS else self._pair.client
