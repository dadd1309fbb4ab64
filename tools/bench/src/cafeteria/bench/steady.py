"""Loads that wrk cannot offer: open (a steady rate, independent of answers) and closed (one request after another).

In an open load the latency of an answer counts from the time at which its request was due, so a slow system does not
hide its delays. Some hundred requests a second take a few percent of a core.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from cafeteria.bench.generator import BenchError
from cafeteria.bench.requests import Requests
from cafeteria.local_stack.polling import is_true_within

ANSWER_WITHIN_S = 30.0
CONNECTION_LIMIT = 4_000
SEND_EVERY_S = 0.001  # requests due by then are sent together: one loop iteration for each would be too slow
OK, CREATED, RECEIVED, OVERLOADED = 200, 201, 202, 503


class Answered(msgspec.Struct, frozen=True):
    """`after_s` is the time of the answer, from the beginning of the load."""

    status: int
    latency_s: float
    after_s: float
    has_retry_after: bool


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The requests of a load and their answers. `unsent` counts requests for which no connection was left."""

    seconds: float
    sent: int
    unsent: int
    answers: list[Answered]

    def latencies_ms(self, *statuses: int) -> list[float]:
        return sorted(each.latency_s * 1000 for each in self.answers if each.status in statuses)

    def count(self, *statuses: int) -> int:
        return sum(each.status in statuses for each in self.answers)


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile of sorted values; 0 if there are none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


class _Load(ABC):
    """Opens connections to one address, sends requests on them and collects the answers."""

    def __init__(self, url: str, requests: Requests) -> None:
        address = urlsplit(url)
        self._host, self._port = str(address.hostname), address.port or 80
        self._requests = requests
        self._connections: set[_Connection] = set()
        self._sent = 0
        self._answers: list[Answered] = []
        self.began_at = asyncio.get_running_loop().time()

    async def _open(self) -> "_Connection":
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self), self._host, self._port
        )
        self._connections.add(connection)
        return connection

    def _close(self) -> None:
        for connection in tuple(self._connections):
            connection.close()

    @abstractmethod
    def answered(self, connection: "_Connection", answer: Answered) -> None: ...

    def lost(self, connection: "_Connection") -> None:
        """Forget the connection; its request stays without an answer."""
        self._connections.discard(connection)


class _Connection(asyncio.Protocol):
    """A connection with one request at a time; an answer ends after its Content-Length."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._received = b""
        self._due_at = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def send(self, request: bytes, *, due_at: float) -> None:
        self._received, self._due_at = b"", due_at
        if self.transport is not None:
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        lowered = head.lower()
        if not end or len(body) < _content_length(lowered):
            return
        now = asyncio.get_running_loop().time()
        answer = Answered(
            int(head[9:12]), now - self._due_at, now - self._load.began_at, b"\nretry-after:" in lowered
        )
        self._load.answered(self, answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._load.lost(self)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


def _content_length(lowered_head: bytes) -> int:
    _, found, after = lowered_head.partition(b"\ncontent-length:")
    return int(after.split(b"\r\n", 1)[0]) if found else 0


class OpenLoad(_Load):
    """Sends requests at a fixed rate; opens more connections while none is free."""

    def __init__(self, url: str, requests: Requests, *, rate: float) -> None:
        super().__init__(url, requests)
        self._rate = rate
        self._free: deque[_Connection] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._unsent = 0

    async def run(self, seconds: float, *, connections: int = 64) -> Outcome:
        """Offer the load. Raises BenchError if nothing listens there."""
        loop = asyncio.get_running_loop()
        try:
            await asyncio.gather(*(self._connect() for _ in range(connections)))
        except OSError as error:
            raise BenchError(f"Nothing answers at port {self._port}: {error}.") from None
        self.began_at = loop.time()
        sent, total = 0, int(seconds * self._rate)
        while sent < total:
            due = min(total, 1 + int((loop.time() - self.began_at) * self._rate))
            for number in range(sent, due):
                self._send(self.began_at + number / self._rate)
            sent = due
            await asyncio.sleep(SEND_EVERY_S)
        await self._until_answered(loop.time() + ANSWER_WITHIN_S)
        self._close()
        return Outcome(seconds=seconds, sent=self._sent, unsent=self._unsent, answers=self._answers)

    def answered(self, connection: _Connection, answer: Answered) -> None:
        self._answers.append(answer)
        self._free.append(connection)

    def lost(self, connection: _Connection) -> None:
        super().lost(connection)
        if connection in self._free:
            self._free.remove(connection)

    def _send(self, due_at: float) -> None:
        if self._free:
            self._sent += 1
            self._free.popleft().send(self._requests(), due_at=due_at)
        elif len(self._connections) + len(self._opening) < CONNECTION_LIMIT:
            task = asyncio.create_task(self._connect_and_send(due_at))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self._unsent += 1

    async def _connect(self) -> None:
        self._free.append(await self._open())

    async def _connect_and_send(self, due_at: float) -> None:
        await self._connect()
        self._sent += 1
        self._free.pop().send(self._requests(), due_at=due_at)

    async def _until_answered(self, deadline: float) -> None:
        left_s = deadline - asyncio.get_running_loop().time()
        await is_true_within(left_s, lambda: not self._has_unanswered_requests, poll_s=0.05)

    @property
    def _has_unanswered_requests(self) -> bool:
        """Whether answers are missing. A request that waits for its connection is sent, and counted, once that is open."""
        return bool(self._opening) or len(self._answers) < self._sent


class ClosedLoad(_Load):
    """Sends the next request of a connection as soon as the last one is answered."""

    def __init__(self, url: str, requests: Requests) -> None:
        super().__init__(url, requests)
        self._is_over = False

    async def run(self, seconds: float, *, connections: int) -> Outcome:
        loop = asyncio.get_running_loop()
        self.began_at = loop.time()
        for _ in range(connections):
            self._send(await self._open())
        await asyncio.sleep(seconds)
        self._is_over = True
        self._close()
        return Outcome(seconds=loop.time() - self.began_at, sent=self._sent, unsent=0, answers=self._answers)

    def answered(self, connection: _Connection, answer: Answered) -> None:
        if not self._is_over:
            self._answers.append(answer)
            self._send(connection)

    def _send(self, connection: _Connection) -> None:
        self._sent += 1
        connection.send(self._requests(), due_at=asyncio.get_running_loop().time())
