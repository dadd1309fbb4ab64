"""The operators: one restocks dishes, one collects tickets that are READY and refuses some that wait."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from uuid import UUID

import aiohttp
import asyncpg
import msgspec

from cafeteria.contracts.kitchen import RefuseTicket, Tickets
from cafeteria.contracts.stock import CreateItem, Item, Items, Restock
from cafeteria.faultkit.cluster import Cluster
from cafeteria.faultkit.history import History
from cafeteria.faultkit.student import JSON, UNAUTHORIZED, Student
from cafeteria.provisioning.demo_data import KITCHEN, OPERATOR, PASSWORD, STUDENTS

HOT_DISH = "Iftar special"
RESTOCK_EVERY_S = 2.0
RESTOCK_BELOW = 150
RESTOCK_PORTIONS = 400
COLLECT_EVERY_S = 1.0
COLLECTED_AT_ONCE = 5
REFUSE_EVERY_S = 0.25
REFUSAL = RefuseTicket(reason="The fryer is broken.")

_COPY_STUDENT = """
INSERT INTO identity.users (id, student_id, password_hash, created_at, updated_at, role)
SELECT gen_random_uuid(), new_id, password_hash, now(), now(), role
FROM identity.users CROSS JOIN unnest(CAST($2 AS text[])) AS new_id WHERE student_id = $1
ON CONFLICT (student_id) DO NOTHING"""


def student_ids(count: int) -> list[str]:
    first = int(STUDENTS[0])
    return [str(first + number) for number in range(count)]


async def enrol(connection: asyncpg.Connection, ids: list[str]) -> None:
    """Create the students that the demo data lacks: they share its published password."""
    await connection.execute(_COPY_STUDENT, STUDENTS[0], ids)


class Menu(msgspec.Struct, frozen=True, kw_only=True):
    """The dishes: the hot one sells out, the others are restocked."""

    hot: UUID
    others: tuple[UUID, ...]


class Operators:
    """Both operators. They use the same failing system as the students; a failed task is tried at the next interval."""

    def __init__(self, cluster: Cluster, history: History) -> None:
        self._operator = cluster.student(OPERATOR, history, chance=cluster.chance)
        self._cook = cluster.student(KITCHEN, history, chance=cluster.chance)
        self._http = cluster.http
        self._stock = cluster.stack.url("stock")
        self._kitchen = cluster.stack.url("kitchen")
        self._chance = random.Random("operators")  # noqa: S311 - repeatable on purpose
        self.restocks = 0
        self.collected = 0
        self.refused = 0

    async def arrive(self) -> None:
        for person in (self._operator, self._cook):
            await person.log_in(PASSWORD)

    async def set_the_table(self, *, hot_portions: int) -> Menu:
        hot = await self.set_out(HOT_DISH, portions=hot_portions)
        items = await self._items()
        return Menu(hot=hot, others=tuple(item.id for item in items if item.name != HOT_DISH))

    async def set_out(self, name: str, *, portions: int) -> UUID:
        """Create a dish and return its id. Raises aiohttp's errors: call it while there are no faults."""
        dish = CreateItem(name=name, price="120.00", quantity=portions)
        answer = await self._ask(self._operator, "POST", f"{self._stock}/v1/items", dish)
        return msgspec.json.decode(answer, type=Item).id

    async def work(self) -> None:
        """Restock, collect and refuse until cancelled."""
        await asyncio.gather(
            self._repeat(self._restock, RESTOCK_EVERY_S),
            self._repeat(self._collect, COLLECT_EVERY_S),
            self._repeat(self._refuse, REFUSE_EVERY_S),
        )

    async def _repeat(self, task: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                async with asyncio.timeout(10):
                    await task()
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                pass
            await asyncio.sleep(every_s)

    async def _items(self) -> list[Item]:
        """Return the items of all pages."""
        items: list[Item] = []
        query = ""
        while True:
            answer = await self._ask(self._operator, "GET", f"{self._stock}/v1/items{query}")
            page = msgspec.json.decode(answer, type=Items)
            items += page.items
            if page.next_cursor is None:
                return items
            query = f"?cursor={page.next_cursor}"

    async def _restock(self) -> None:
        for item in await self._items():
            if item.name != HOT_DISH and item.quantity < RESTOCK_BELOW:
                url = f"{self._stock}/v1/items/{item.id}/restock"
                await self._ask(self._operator, "POST", url, Restock(quantity=RESTOCK_PORTIONS))
                self.restocks += 1

    async def _collect(self) -> None:
        url = f"{self._kitchen}/v1/tickets"
        answer = await self._ask(self._cook, "GET", f"{url}?status=READY")
        ready = msgspec.json.decode(answer, type=Tickets).items
        for ticket in self._chance.sample(ready, min(COLLECTED_AT_ONCE, len(ready))):
            await self._ask(self._cook, "POST", f"{url}/{ticket.id}/collect")
            self.collected += 1

    async def _refuse(self) -> None:
        """Refuse one ticket that waits; where a cook is faster, that is answered with 409 and nothing changes."""
        url = f"{self._kitchen}/v1/tickets"
        answer = await self._ask(self._cook, "GET", f"{url}?status=QUEUED&limit=1")
        for ticket in msgspec.json.decode(answer, type=Tickets).items:
            await self._ask(self._cook, "POST", f"{url}/{ticket.id}/refuse", REFUSAL)
            self.refused += 1

    async def _ask(self, person: Student, method: str, url: str, body: msgspec.Struct | None = None) -> bytes:
        """Send a request, once more with a new token if the old one has expired. Raises aiohttp's errors."""
        data = None if body is None else msgspec.json.encode(body)
        for is_last in (False, True):
            headers = {**JSON, **person.authorization}
            async with self._http.request(method, url, data=data, headers=headers) as response:
                if response.status == UNAUTHORIZED and not is_last:
                    await person.log_in(PASSWORD)
                    continue
                response.raise_for_status()
                return await response.read()
        raise AssertionError("the last request either answers or raises")
