"""A malicious client: connections that send nothing or too little, and requests that are invalid on purpose.

Each may harm only its sender. The fault checks each answer at once: a 5xx other than 503 is a violation. No student
uses the keys of these requests.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from cafeteria.faultkit.cluster import Cluster
from cafeteria.faultkit.student import Student
from cafeteria.rush.faults.fault import Fault, HarmDoneError

FAMILY = "malice"
SOCKETS = (50, 300)
REQUESTS = (20, 80)
LASTS_S = (2.0, 6.0)
ANSWER_WITHIN_S = 15.0
"""The service may be frozen or starting under another fault; a malicious client does not wait for it."""

Request = Callable[[Student, random.Random], bytes]

STARTS = (
    b"",
    b"G",
    b"POST /v1/orders HTTP/1.1\r\nHost: cafeteria\r\n",
    b"POST /v1/orders HTTP/1.1\r\nHost: cafeteria\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{",
)
"""What a silent connection sends before it falls silent: nothing, half a head, half a body."""

BROKEN_BODIES = (
    b'{"lines": "caf\xe9"}',
    b'{"\xed\xa0\x80": 1}',
    b'{"lines": [{"item_id": "\xff"}]}',
    b'{"lines": [17]}',
    b"[" * 5_000,
    b"\x00" * 64,
    b'{"lines": [{"item_id": "00000000-0000-7000-8000-000000000000", "quantity": "2"}]}',
    b"",
)


class SilentSockets(Fault):
    """Many connections that stay open and send nothing, half a head or half a body."""

    name = "sockets-silent"
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        sockets, for_s = chance.randint(*SOCKETS), chance.uniform(*LASTS_S)
        urls = chance.choices(_targets(cluster), k=sockets)
        starts = chance.choices(STARTS, k=sockets)
        await asyncio.gather(*(_hold(url, start, for_s) for url, start in zip(urls, starts, strict=True)))
        return f"{sockets} sockets for {for_s:.1f} s"


@dataclass(frozen=True, kw_only=True)
class BrokenRequests(Fault):
    """Requests that are each invalid in one way; `request` makes them."""

    name: str
    request: Request
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        count = chance.randint(*REQUESTS)
        answers = []
        for student in chance.choices(cluster.students, k=count):
            url = chance.choice(cluster.urls.gateways)
            answers += await _answers(url, self.request(student, chance))
        if unforeseen := [answer for answer in answers if answer[:1] == b"5" and answer != b"503"]:
            raise HarmDoneError(f"{self.name} was answered {unforeseen[0].decode()}")
        return f"{count} requests, {len(answers)} answers"


def broken_body(student: Student, chance: random.Random) -> bytes:
    """Return an order whose body no decoder accepts."""
    return _order(student, chance.choice(BROKEN_BODIES), chance)


def junk_behind_body(student: Student, chance: random.Random) -> bytes:
    """Return an invalid order, followed in the same segment by bytes that belong to no request."""
    return _order(student, b'{"lines": []}', chance) + chance.randbytes(chance.randint(1, 200))


def broken_head(student: Student, chance: random.Random) -> bytes:
    """Return an order with a line that is not HTTP in its head."""
    head, _, body = _order(student, b'{"lines": []}', chance).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    lines.insert(chance.randrange(len(lines)), chance.randbytes(20).replace(b"\n", b"?"))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _order(student: Student, body: bytes, chance: random.Random) -> bytes:
    lines = [
        "POST /v1/orders HTTP/1.1",
        "Host: cafeteria",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"Idempotency-Key: malice-{chance.getrandbits(64):x}",
        *(f"{name}: {value}" for name, value in student.authorization.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _targets(cluster: Cluster) -> tuple[str, ...]:
    return (*cluster.urls.gateways, *cluster.urls.notifications, cluster.urls.identity)


async def _hold(url: str, start: bytes, for_s: float) -> None:
    """Hold a connection until the service closes it, or the time is over."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(for_s), _connected(url) as (reader, writer):
            writer.write(start)
            while await reader.read(4096):
                pass


async def _answers(url: str, request: bytes) -> list[bytes]:
    """Return the status of each answer until the service closes; fewer if it is unreachable or stops answering."""
    answered = b""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_WITHIN_S), _connected(url) as (reader, writer):
            writer.write(request)
            while chunk := await reader.read(65_536):
                answered += chunk
    return [part[:3] for part in answered.split(b"HTTP/1.1 ")[1:]]


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


MALICE: tuple[Fault, ...] = (
    SilentSockets(),
    BrokenRequests(name="bodies-broken", request=broken_body),
    BrokenRequests(name="junk-behind-bodies", request=junk_behind_body),
    BrokenRequests(name="heads-broken", request=broken_head),
)
