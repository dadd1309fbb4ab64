"""Orders at a steady rate, whatever becomes of those before: an open loop, so that a slow system is not spared.

The time of an answer counts from when the order was due to be sent. wrk cannot do this; at some hundred orders a
second this takes a few percent of a core.
"""

import asyncio
import random
import secrets
from collections import Counter, deque
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from cafeteria.rush.bench.generator import BenchError

ANSWER_WITHIN_S = 30.0
CONNECTION_LIMIT = 4_000
CREATED, RECEIVED, OVERLOADED = 201, 202, 503


class Answered(msgspec.Struct, frozen=True):
    """`after_s` is when it came, from the beginning of the load."""

    status: int
    latency_s: float
    after_s: float
    has_retry_after: bool


class Steady(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was sent. `unsent`: so many that no connection was left for them."""

    seconds: float
    sent: int
    unsent: int
    answers: list[Answered]

    def latencies_ms(self, *statuses: int) -> list[float]:
        return sorted(each.latency_s * 1000 for each in self.answers if each.status in statuses)

    def count(self, *statuses: int) -> int:
        return sum(each.status in statuses for each in self.answers)

    @property
    def statuses(self) -> Counter[int]:
        return Counter(each.status for each in self.answers)


def percentile(values: Sequence[float], share: float) -> float:
    """Of sorted values; 0 when there are none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


class Orders:
    """Requests with fresh keys, put together from strings made beforehand."""

    def __init__(self, tokens: Sequence[str], items: Sequence[str]) -> None:
        self._heads = [_head(token) for token in tokens]
        self._tails = [_tail(item) for item in items]
        self._run = secrets.token_hex(6)
        self._count = 0
        self._chance = random.Random(self._run)  # noqa: S311 - who orders what is no secret

    def next(self) -> bytes:
        self._count += 1
        key = b"%s-%d" % (self._run.encode(), self._count)
        return self._chance.choice(self._heads) + key + self._chance.choice(self._tails)


def _head(token: str) -> bytes:
    return (
        "POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nIdempotency-Key: "
    ).encode()


def _tail(item: str) -> bytes:
    body = b'{"lines":[{"item_id":"%s","quantity":1}]}' % item.encode()
    return b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class _Connection(asyncio.Protocol):
    """One request at a time; an answer ends with its head's content length."""

    def __init__(self, load: "SteadyLoad") -> None:
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
        if not end:
            return
        length = _content_length(head)
        if len(body) >= length:
            self._load.answered(
                self,
                status=int(head[9:12]),
                due_at=self._due_at,
                has_retry_after=b"retry-after:" in head.lower(),
            )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._load.lost(self)


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.find(b"content-length:")
    return int(lowered[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0


class SteadyLoad:
    """`rate` orders a second at one gateway."""

    def __init__(self, url: str, *, tokens: Sequence[str], items: Sequence[str], rate: float) -> None:
        address = urlsplit(url)
        self._host, self._port = str(address.hostname), address.port or 80
        self._orders = Orders(tokens, items)
        self._rate = rate
        self._free: deque[_Connection] = deque()
        self._open = 0
        self._unsent = 0
        self._sent = 0
        self._answers: list[Answered] = []
        self._began_at = 0.0
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float, *, connections: int = 64) -> Steady:
        """Raises BenchError when nobody listens."""
        loop = asyncio.get_running_loop()
        try:
            await asyncio.gather(*(self._connect() for _ in range(connections)))
        except OSError as error:
            raise BenchError(f"Nobody takes orders at port {self._port}: {error}.") from None
        self._began_at = loop.time()
        for number in range(int(seconds * self._rate)):
            due_at = self._began_at + number / self._rate
            if (ahead := due_at - loop.time()) > 0:
                await asyncio.sleep(ahead)
            self._send(due_at)
        await self._answered_all(loop.time() + ANSWER_WITHIN_S)
        for connection in self._free:
            if connection.transport is not None:
                connection.transport.abort()
        return Steady(seconds=seconds, sent=self._sent, unsent=self._unsent, answers=self._answers)

    def answered(self, connection: _Connection, *, status: int, due_at: float, has_retry_after: bool) -> None:
        now = asyncio.get_running_loop().time()
        self._answers.append(Answered(status, now - due_at, now - self._began_at, has_retry_after))
        self._free.append(connection)

    def lost(self, connection: _Connection) -> None:
        self._open -= 1
        if connection in self._free:
            self._free.remove(connection)

    def _send(self, due_at: float) -> None:
        if self._free:
            self._sent += 1
            self._free.popleft().send(self._orders.next(), due_at=due_at)
        elif self._open + len(self._opening) < CONNECTION_LIMIT:
            task = asyncio.create_task(self._connect_and_send(due_at))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self._unsent += 1

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self), self._host, self._port)
        self._open += 1
        self._free.append(connection)

    async def _connect_and_send(self, due_at: float) -> None:
        await self._connect()
        self._sent += 1
        self._free.pop().send(self._orders.next(), due_at=due_at)

    async def _answered_all(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while len(self._answers) < self._sent and loop.time() < deadline:  # noqa: ASYNC110 - counted by callbacks
            await asyncio.sleep(0.05)
