"""Client faults: clients that read slowly or never, reconnect all at once, or order all at once."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from cafeteria.contracts.gateway import OrderLine
from cafeteria.faultkit.cluster import Cluster
from cafeteria.faultkit.student import Student
from cafeteria.rush.faults.fault import Fault, HarmDoneError

FAMILY = "clients"
READERS = (10, 60)
LASTS_S = (3.0, 8.0)
SLOW_BYTES, SLOW_EVERY_S = 64, 0.2


@dataclass(frozen=True, kw_only=True)
class LazyReaders(Fault):
    """Streams whose readers read a few bytes at intervals, or none at all."""

    name: str
    reads: bool
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        students = chance.choices(cluster.students, k=chance.randint(*READERS))
        for_s = chance.uniform(*LASTS_S)
        urls = [chance.choice(cluster.urls.notifications) for _ in students]
        await asyncio.gather(
            *(self._idle(student, url, for_s) for student, url in zip(students, urls, strict=True))
        )
        return f"{len(students)} streams for {for_s:.1f} s"

    async def _idle(self, student: Student, url: str, for_s: float) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(for_s), _stream(student, url) as reader:
                while not self.reads or await reader.read(SLOW_BYTES):  # noqa: ASYNC110 - a slow reader's pace
                    await asyncio.sleep(SLOW_EVERY_S)


class EverybodyReconnects(Fault):
    """All streams are dropped at once, and all reconnect at once."""

    name = "streams-dropped"
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        dropped = sum([student.drop_streams() for student in cluster.students])
        await asyncio.sleep(chance.uniform(0.5, 2.0))
        return f"{dropped} streams"


class EverybodyOrders:
    """Each student sends `times` orders, all at once. The fault's random generator draws their keys."""

    def __init__(self, cluster: Cluster, chance: random.Random, *, times: int) -> None:
        self._cluster = cluster
        self._orders = [
            (student, f"{chance.getrandbits(64):016x}") for student in cluster.students for _ in range(times)
        ]
        self._lines: tuple[OrderLine, ...] = ()

    def __len__(self) -> int:
        return len(self._orders)

    async def choose(self) -> None:
        """Choose the dish with the most portions."""
        async with self._cluster.database() as connection:
            dish = await connection.fetchval(_FULLEST_DISH)
        self._lines = (OrderLine(item_id=dish, quantity=1),)

    async def send(self) -> None:
        """Send each order once; an answer may be 202, or not come."""
        await asyncio.gather(*(student.order_once(self._lines, key=key) for student, key in self._orders))

    async def until_answered(self) -> None:
        """Send again until each has its final answer. Raises HarmDoneError."""
        answered = await asyncio.gather(*(self._is_answered(student, key) for student, key in self._orders))
        if not all(answered):
            raise HarmDoneError(f"{answered.count(False)} of {len(answered)} orders got no final answer")

    async def _is_answered(self, student: Student, key: str) -> bool:
        try:
            await student.order(self._lines, key=key)
        except TimeoutError:
            return False
        return True


_FULLEST_DISH = "SELECT item_id FROM stock.inventory ORDER BY quantity DESC, item_id LIMIT 1"


@asynccontextmanager
async def _stream(student: Student, url: str) -> AsyncIterator[asyncio.StreamReader]:
    """Open a stream on a plain socket, so that no library reads ahead."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=SLOW_BYTES)
    try:
        writer.write(
            b"GET /v1/events HTTP/1.1\r\nHost: cafeteria\r\n"
            + b"".join(f"{name}: {value}\r\n".encode() for name, value in student.authorization.items())
            + b"\r\n"
        )
        yield reader
    finally:
        writer.transport.abort()


CLIENTS: tuple[Fault, ...] = (
    LazyReaders(name="streams-read-slowly", reads=True),
    LazyReaders(name="streams-never-read", reads=False),
    EverybodyReconnects(),
)
