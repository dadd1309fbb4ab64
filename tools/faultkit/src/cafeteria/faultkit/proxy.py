"""A TCP proxy between one service and one server that can simulate a bad network.

It delays, cuts, resets or drops bytes, in one direction or both. It parses them only to drop single messages to NATS.
Without a fault it forwards every chunk unchanged.
"""

import asyncio
import random
import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from typing import Self

import msgspec

from cafeteria.faultkit.nats_frames import NatsFrames

HOST = "127.0.0.1"
CONNECT_TIMEOUT_S = 5.0


class Direction(StrEnum):
    """The direction of bytes, as the service sees it."""

    REQUESTS = "requests"
    REPLIES = "replies"


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """The network faults that the proxy simulates.

    `latency_ms` and `jitter_ms` delay each chunk and keep the order; directions in `lost` drop every byte while the
    connection stays open; `cut_after_bytes` breaks each connection after so many bytes, counted from when this setting
    changed, also in the middle of a message. A message to NATS whose subject begins with `lost_subject` is dropped
    whole, on connections that were opened under this setting.
    """

    latency_ms: float = 0
    jitter_ms: float = 0
    lost: frozenset[Direction] = frozenset()
    cut_after_bytes: int | None = None
    lost_subject: str = ""


FAIR = Weather()


class Proxy:
    """Listens on a free port of 127.0.0.1 inside its block. The simulated faults may change at any time."""

    def __init__(self, *, host: str, port: int, chance: random.Random) -> None:
        self.upstream = (host, port)
        self.chance = chance
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._weather = FAIR
        self.lost_messages = 0

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("The proxy is not open.")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        return len(self._pairs)

    @property
    def weather(self) -> Weather:
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        """Set the faults; a connection that lost bytes is reset when the loss ends: TCP never continues after a gap."""
        self._weather = weather
        for pair in list(self._pairs):
            if pair.holes and not weather.lost:
                pair.reset()
            pair.carried_bytes = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.reset_all()

    def reset_all(self) -> None:
        """Break every open connection with a reset: unread bytes are lost on both sides."""
        for pair in list(self._pairs):
            pair.reset()

    def half_open_all(self) -> None:
        """Close the servers' ends without telling the service: its connections look open and get no answer."""
        for pair in list(self._pairs):
            pair.lose_server()

    def _accept(self) -> "_End":
        pair = _Pair(self)
        self._pairs.add(pair)
        return pair.client

    def forget(self, pair: "_Pair") -> None:
        self._pairs.discard(pair)


class _Pair:
    """Both ends of one proxied connection."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.client = _End(self, Direction.REQUESTS)
        self.server = _End(self, Direction.REPLIES)
        self.carried_bytes = 0
        self.holes: set[Direction] = set()
        self._frames = NatsFrames() if proxy.weather.lost_subject else None
        self._is_abandoned = False
        self._connecting: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        self.client.pause()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().create_connection(lambda: self.server, *self.proxy.upstream)
        except (OSError, TimeoutError):
            self.reset()
        else:
            self.client.resume()
            if not self.client.is_open:  # the client closed while the proxy was connecting
                self.server.abort()

    def carry(self, chunk: bytes, direction: Direction) -> None:
        """Forward one chunk in `direction`, with the delay, loss or cut that applies."""
        weather = self.proxy.weather
        if self._is_abandoned or direction in weather.lost or direction in self.holes:
            self.holes.add(direction)
            return
        if direction is Direction.REQUESTS and self._frames is not None:
            chunk = b"".join(self._not_lost(self._frames, chunk))
        sink = self.server if direction is Direction.REQUESTS else self.client
        share = self._share_before_cut(chunk, weather)
        delay_s = (weather.latency_ms + self.proxy.chance.random() * weather.jitter_ms) / 1000
        sink.send(share, delay_s=delay_s)
        if len(share) < len(chunk):
            self.close()

    def _not_lost(self, frames: NatsFrames, chunk: bytes) -> Iterator[bytes]:
        """Yield the messages that `chunk` completes, without those to drop."""
        lost = self.proxy.weather.lost_subject
        for frame in frames.feed(chunk):
            if lost and frame.subject.startswith(lost):
                self.proxy.lost_messages += 1
            else:
                yield frame.raw

    def _share_before_cut(self, chunk: bytes, weather: Weather) -> bytes:
        """Return the part of `chunk` before the cut; the rest, and all that follows, is dropped."""
        before = self.carried_bytes
        self.carried_bytes += len(chunk)
        if weather.cut_after_bytes is None or self.carried_bytes <= weather.cut_after_bytes:
            return chunk
        return chunk[: max(0, weather.cut_after_bytes - before)]

    def lose_server(self) -> None:
        self._is_abandoned = True
        self.server.abort()

    def ended(self, end: "_End") -> None:
        """Close the other end too, unless the connection is half-open on purpose."""
        if end is self.server and self._is_abandoned:
            return
        self.close()
        self.proxy.forget(self)

    def close(self) -> None:
        for end in (self.client, self.server):
            end.close()

    def reset(self) -> None:
        for end in (self.client, self.server):
            end.abort()
        self.proxy.forget(self)


class _End(asyncio.Protocol):
    """One socket; it passes received bytes to the pair and may send bytes later, in order."""

    def __init__(self, pair: _Pair, direction: Direction) -> None:
        self._pair = pair
        self._direction = direction
        self._transport: asyncio.Transport | None = None
        self._late: deque[bytes] = deque()
        self._last_due = 0.0
        self._is_closing = False

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
        self._pair.ended(self)

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

    def send(self, chunk: bytes, *, delay_s: float) -> None:
        if not delay_s and not self._late:
            self._write(chunk)
            return
        loop = asyncio.get_running_loop()
        self._last_due = max(self._last_due, loop.time() + delay_s)
        self._late.append(chunk)
        loop.call_at(self._last_due, self._send_late)

    def close(self) -> None:
        """Close the socket after its buffered bytes are sent."""
        self._is_closing = True
        if self._transport is not None and not self._late:
            self._transport.close()

    def abort(self) -> None:
        """Close the socket with RST instead of FIN."""
        self._late.clear()
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _send_late(self) -> None:
        if self._late:
            self._write(self._late.popleft())
        if self._is_closing:
            self.close()

    def _write(self, chunk: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(chunk)

    @property
    def _peer(self) -> "_End":
        return self._pair.server if self._direction is Direction.REQUESTS else self._pair.client
