"""The core of both proxies: a port that forwards connections to a server, chunk by chunk, as `carry` decides."""

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Generic, Self, TypeVar

HOST = "127.0.0.1"
CONNECT_TIMEOUT_S = 5.0
DRAIN_POLL_S = 0.001


class Direction(StrEnum):
    """The direction of bytes, as the service sees it."""

    REQUESTS = "requests"
    REPLIES = "replies"


class Connection(ABC):
    """Both ends of one proxied connection."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.client = End(self, Direction.REQUESTS)
        self.server = End(self, Direction.REPLIES)
        self.on_end: Callable[[], None] = lambda: None
        self._upstream = upstream
        self._connecting: asyncio.Task[None] | None = None

    @abstractmethod
    def carry(self, chunk: bytes, direction: Direction) -> None:
        """Forward what one side has sent, or a part of it, to `sink(direction)`."""

    def sink(self, direction: Direction) -> "End":
        return self.server if direction is Direction.REQUESTS else self.client

    def begin(self) -> None:
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        self.client.pause()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().create_connection(lambda: self.server, *self._upstream)
        except (OSError, TimeoutError):
            self.reset()
        else:
            self.client.resume()
            if not self.client.is_open:  # the client closed while the proxy was connecting
                self.server.abort()

    def ended(self, _end: "End") -> None:
        """One end is lost: close the other one too."""
        self.close()
        self.on_end()

    def close(self) -> None:
        """Close both ends after their buffered bytes are sent."""
        for end in (self.client, self.server):
            end.close()

    def reset(self) -> None:
        """Break the connection: unread bytes are lost on both sides."""
        for end in (self.client, self.server):
            end.abort()
        self.on_end()


class End(asyncio.Protocol):
    """One socket; it passes received bytes to its connection and may send bytes later, in order."""

    def __init__(self, connection: Connection, direction: Direction) -> None:
        self._connection = connection
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
        if self._is_closing:
            self.abort()
        elif self._direction is Direction.REQUESTS:
            self._connection.begin()

    def data_received(self, data: bytes) -> None:
        self._connection.carry(data, self._direction)

    def connection_lost(self, _reason: Exception | None) -> None:
        self._transport = None
        self._connection.ended(self)

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

    def send(self, chunk: bytes, *, delay_s: float = 0) -> None:
        if not delay_s and not self._late:
            self._write(chunk)
            return
        loop = asyncio.get_running_loop()
        self._last_due = max(self._last_due, loop.time() + delay_s)
        self._late.append(chunk)
        loop.call_at(self._last_due, self._send_late)

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the kernel has taken all bytes: over the loopback the other side has them then."""
        if self._transport is not None and self._transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(DRAIN_POLL_S, self.when_drained, callback)
        else:
            callback()

    def close(self) -> None:
        """Close the socket after its buffered bytes are sent."""
        self._is_closing = True
        if self._transport is not None and not self._late:
            self._transport.close()

    def abort(self) -> None:
        """Close the socket with RST instead of FIN, also one that is only now being opened."""
        self._is_closing = True
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
        if chunk and self._transport is not None and not self._transport.is_closing():
            self._transport.write(chunk)

    @property
    def _peer(self) -> "End":
        return self._connection.sink(self._direction)


ConnectionT = TypeVar("ConnectionT", bound=Connection)


class TcpProxy(Generic[ConnectionT]):
    """Listens on a free port of 127.0.0.1 inside its block; `connect` makes what carries one connection's bytes."""

    def __init__(self, connect: Callable[[], ConnectionT]) -> None:
        self.open: set[ConnectionT] = set()
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._is_closed = False

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("The proxy is not open.")
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.accept, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_closed = True
        if self._server is not None:
            # asyncio leaks a socket that it has accepted when the server closes before it has made the transport, which
            # takes one turn of the loop: accept no more, and let that turn pass
            for listening in self._server.sockets:
                asyncio.get_running_loop().remove_reader(listening.fileno())
            await asyncio.sleep(0)
            self._server.close()
        self.reset_all()

    def reset_all(self) -> None:
        """Break every open connection with a reset: unread bytes are lost on both sides."""
        for connection in list(self.open):
            connection.reset()

    def accept(self) -> End:
        """The client's end of a new connection; it is reset where the proxy has closed meanwhile."""
        connection = self._connect()
        connection.on_end = lambda: self.open.discard(connection)
        self.open.add(connection)
        if self._is_closed:
            connection.reset()
        return connection.client
