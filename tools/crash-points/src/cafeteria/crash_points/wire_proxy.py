"""A TCP proxy between one service and one server that forwards whole messages and asks a watcher about each first.

A message that the watcher holds never passes, nor does anything after it on that connection in that direction. Bytes
that left the service before it was killed still reach the server, as the kernel would have delivered them.
"""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

import msgspec

from cafeteria.crash_points.naming import Marks, Named
from cafeteria.crash_points.nats_names import NatsNames
from cafeteria.crash_points.postgres_frames import PostgresFrames
from cafeteria.crash_points.postgres_names import PostgresNames
from cafeteria.faultkit.nats_frames import NatsFrames
from cafeteria.faultkit.tcp_proxy import HOST, Connection, Direction, TcpProxy

POSTGRES, NATS = "postgres", "nats"


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


class WireProxy(TcpProxy["_WatchedConnection"]):
    """A proxy of one link. Without a watcher everything passes."""

    def __init__(self, place: Place, *, port: int, marks: Marks) -> None:
        super().__init__(lambda: _WatchedConnection(self))
        self.place = place
        self.upstream = (HOST, port)
        self.watcher: Watcher | None = None
        self._marks = marks

    def codec(self) -> _Codec:
        return _CODECS[self.place.server](self._marks)


class _WatchedConnection(Connection):
    def __init__(self, proxy: WireProxy) -> None:
        super().__init__(proxy.upstream)
        self._proxy = proxy
        self._codec = proxy.codec()
        self._cut_off: set[Direction] = set()

    def carry(self, chunk: bytes, direction: Direction) -> None:
        if direction in self._cut_off:
            return
        passing: list[bytes] = []
        for raw, message in self._codec.understand(chunk, direction):
            passage = self._passage(direction, message)
            if passage is not Passage.HELD:
                passing.append(raw)
            if passage is not Passage.FREE:
                self._cut_off.add(direction)
                break
        sink = self.sink(direction)
        sink.send(b"".join(passing))
        if direction in self._cut_off and self._proxy.watcher is not None:
            sink.when_drained(self._proxy.watcher.all_arrived)

    def _passage(self, direction: Direction, message: Named | None) -> Passage:
        watcher = self._proxy.watcher
        if watcher is None or message is None:
            return Passage.FREE
        return watcher.passage(self._proxy.place, direction, message)
