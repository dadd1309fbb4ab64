"""Very many open event streams in a process of their own: `python -m cafeteria.bench.stream_client`.

Reads a `Wanted` from its first line of input; for each line that follows it says what it has counted so far.
"""

import asyncio
import resource
import sys
from functools import partial
from time import time

import msgspec
import uvloop

from cafeteria.bench.requests import stream
from cafeteria.local_stack.launch import DESCRIPTORS

OPEN_AT_ONCE = 100
EVENT = b"event: order.status"
CARRY = len(EVENT) - 1


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    tokens: tuple[str, ...]
    streams_per_token: int


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """`last_at` is when the last event came, in seconds since 1970."""

    open: int
    lost: int
    events: int
    last_at: float


class _Stream(asyncio.Protocol):
    __slots__ = ("_all", "_is_open", "_request", "_tail", "opened")

    def __init__(self, everything: "Streams", request: bytes) -> None:
        self._all = everything
        self._request = request
        self._tail = b""
        self._is_open = False
        self.opened = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._request)  # type: ignore[attr-defined]  # a TCP connection's has it

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            self._is_open = data.startswith(b"HTTP/1.1 200")
            self._all.open += self._is_open
            self.opened.set_result(None)
        text = self._tail + data
        if found := text.count(EVENT):
            self._all.events += found
            self._all.last_at = time()
        self._tail = text[-CARRY:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._all.lost += 1
        if not self.opened.done():
            self.opened.set_result(None)


class Streams:
    """All of them."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._places = asyncio.Semaphore(OPEN_AT_ONCE)
        self.open = self.lost = self.events = 0
        self.last_at = 0.0

    async def open_all(self) -> None:
        wanted = self._wanted
        await asyncio.gather(
            *(self._open(stream(token)) for token in wanted.tokens for _ in range(wanted.streams_per_token))
        )

    async def _open(self, request: bytes) -> None:
        async with self._places:
            loop = asyncio.get_running_loop()
            _, protocol = await loop.create_connection(
                partial(_Stream, self, request), self._wanted.host, self._wanted.port
            )
            await protocol.opened

    def say(self) -> None:
        counted = Counted(open=self.open, lost=self.lost, events=self.events, last_at=self.last_at)
        sys.stdout.buffer.write(msgspec.json.encode(counted) + b"\n")
        sys.stdout.buffer.flush()


async def main() -> None:
    lines = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    streams = Streams(msgspec.json.decode(await lines.readline(), type=Wanted))
    await streams.open_all()
    streams.say()
    while await lines.readline():
        streams.say()


def allow_descriptors() -> int:
    """As many open files as this process and its children may have; returns how many that are.

    Where the system names no limit (macOS), more than DESCRIPTORS may be refused.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = DESCRIPTORS if most == resource.RLIM_INFINITY else most
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return allowed


if __name__ == "__main__":
    allow_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
