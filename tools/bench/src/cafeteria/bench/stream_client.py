"""A process with thousands of open event streams: `python -m cafeteria.bench.stream_client`.

Reads a `StreamPlan` from the first line of its input; answers each later line with its counts.
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
TAIL_BYTES = len(EVENT) - 1


class StreamPlan(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    tokens: tuple[str, ...]
    streams_per_token: int


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """`last_at` is the time of the last event, in seconds since 1970."""

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
        transport.write(self._request)  # type: ignore[attr-defined]  # a TCP transport has it

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            self._is_open = data.startswith(b"HTTP/1.1 200")
            self._all.open += self._is_open
            self.opened.set_result(None)
        text = self._tail + data
        if found := text.count(EVENT):
            self._all.events += found
            self._all.last_at = time()
        self._tail = text[-TAIL_BYTES:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._all.lost += 1
        if not self.opened.done():
            self.opened.set_result(None)


class Streams:
    """All streams and their counts."""

    def __init__(self, plan: StreamPlan) -> None:
        self._plan = plan
        self._open_limit = asyncio.Semaphore(OPEN_AT_ONCE)
        self.open = self.lost = self.events = 0
        self.last_at = 0.0

    async def open_all(self) -> None:
        plan = self._plan
        await asyncio.gather(
            *(self._open(stream(token)) for token in plan.tokens for _ in range(plan.streams_per_token))
        )

    async def _open(self, request: bytes) -> None:
        async with self._open_limit:
            loop = asyncio.get_running_loop()
            _, protocol = await loop.create_connection(
                partial(_Stream, self, request), self._plan.host, self._plan.port
            )
            await protocol.opened

    def write_counts(self) -> None:
        counted = Counted(open=self.open, lost=self.lost, events=self.events, last_at=self.last_at)
        sys.stdout.buffer.write(msgspec.json.encode(counted) + b"\n")
        sys.stdout.buffer.flush()


async def main() -> None:
    lines = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    streams = Streams(msgspec.json.decode(await lines.readline(), type=StreamPlan))
    await streams.open_all()
    streams.write_counts()
    while await lines.readline():
        streams.write_counts()


def allow_descriptors() -> int:
    """Raise the limit of open files of this process and its children to the maximum; returns the limit.

    Without a maximum (macOS) the limit is DESCRIPTORS: the system may refuse more.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = DESCRIPTORS if most == resource.RLIM_INFINITY else most
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return allowed


if __name__ == "__main__":
    allow_descriptors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
