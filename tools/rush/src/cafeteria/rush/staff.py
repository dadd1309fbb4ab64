"""The people behind the counter: an operator who sets out portions, a cook who hands out what is ready."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from decimal import Decimal
from uuid import UUID

import aiohttp
import asyncpg
import msgspec

from cafeteria.contracts.kitchen import Tickets
from cafeteria.contracts.stock import CreateItem, Item, Items, Restock
from cafeteria.local_stack.demo_data import KITCHEN, OPERATOR, PASSWORD, STUDENTS
from cafeteria.rush.arena import Arena
from cafeteria.rush.history import History
from cafeteria.rush.student import JSON, Student

HOT_DISH = "Iftar special"
RESTOCK_EVERY_S = 2.0
RESTOCK_BELOW = 150
RESTOCK_PORTIONS = 400
COLLECT_EVERY_S = 1.0
COLLECTED_AT_ONCE = 5

_COPY_STUDENT = """
INSERT INTO identity.users (id, student_id, password_hash, created_at, updated_at, role)
SELECT gen_random_uuid(), new_id, password_hash, now(), now(), role
FROM identity.users CROSS JOIN unnest(CAST($2 AS text[])) AS new_id WHERE student_id = $1
ON CONFLICT (student_id) DO NOTHING"""


def student_ids(count: int) -> list[str]:
    first = int(STUDENTS[0])
    return [str(first + number) for number in range(count)]


async def enrol(connection: asyncpg.Connection, ids: list[str]) -> None:
    """Make the students that the demonstration has not: they share its published password."""
    await connection.execute(_COPY_STUDENT, STUDENTS[0], ids)


class Menu(msgspec.Struct, frozen=True, kw_only=True):
    """The hot dish runs out; the others are set out again and again."""

    hot: UUID
    others: tuple[UUID, ...]


class Staff:
    """Both are on the same bad system as the students; what fails is tried again the next time."""

    def __init__(
        self, operator: Student, cook: Student, *, http: aiohttp.ClientSession, stock: str, kitchen: str
    ) -> None:
        self._operator = operator
        self._cook = cook
        self._http = http
        self._stock = stock
        self._kitchen = kitchen
        self._chance = random.Random("staff")  # noqa: S311 - repeatable on purpose
        self.restocks = 0
        self.collected = 0

    @classmethod
    def meet(cls, arena: Arena, history: History) -> "Staff":
        operator, cook = (
            Student(
                name,
                http=arena.http,
                urls=arena.urls,
                history=history,
                chance=arena.chance,
                began_at=arena.began_at,
            )
            for name in (OPERATOR, KITCHEN)
        )
        stack = arena.stack
        return cls(operator, cook, http=arena.http, stock=stack.url("stock"), kitchen=stack.url("kitchen"))

    async def arrive(self) -> None:
        for person in (self._operator, self._cook):
            await person.log_in(PASSWORD)

    async def set_the_table(self, *, hot_portions: int) -> Menu:
        body = msgspec.json.encode(CreateItem(name=HOT_DISH, price=Decimal("120.00"), quantity=hot_portions))
        headers = {**JSON, **self._operator.authorization}
        async with self._http.post(f"{self._stock}/v1/items", data=body, headers=headers) as response:
            response.raise_for_status()
            hot = msgspec.json.decode(await response.read(), type=Item).id
        items = await self._items()
        return Menu(hot=hot, others=tuple(item.id for item in items if item.name != HOT_DISH))

    async def work(self) -> None:
        """Until cancelled."""
        await asyncio.gather(
            self._again_and_again(self._restock, RESTOCK_EVERY_S),
            self._again_and_again(self._collect, COLLECT_EVERY_S),
        )

    async def _again_and_again(self, task: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                async with asyncio.timeout(10):
                    await task()
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                pass
            await asyncio.sleep(every_s)

    async def _items(self) -> tuple[Item, ...]:
        async with self._http.get(
            f"{self._stock}/v1/items", headers=self._operator.authorization
        ) as response:
            await self._refused(self._operator, response)
            return msgspec.json.decode(await response.read(), type=Items).items

    async def _restock(self) -> None:
        for item in await self._items():
            if item.name == HOT_DISH or item.quantity >= RESTOCK_BELOW:
                continue
            url = f"{self._stock}/v1/items/{item.id}/restock"
            body = msgspec.json.encode(Restock(quantity=RESTOCK_PORTIONS))
            headers = {**JSON, **self._operator.authorization}
            async with self._http.post(url, data=body, headers=headers) as response:
                await self._refused(self._operator, response)
                self.restocks += 1

    async def _collect(self) -> None:
        url = f"{self._kitchen}/v1/tickets"
        headers = self._cook.authorization
        async with self._http.get(url, params={"status": "READY"}, headers=headers) as response:
            await self._refused(self._cook, response)
            ready = msgspec.json.decode(await response.read(), type=Tickets).items
        for ticket in self._chance.sample(ready, min(COLLECTED_AT_ONCE, len(ready))):
            async with self._http.post(f"{url}/{ticket.id}/collect", headers=headers) as response:
                response.raise_for_status()
                self.collected += 1

    async def _refused(self, person: Student, response: aiohttp.ClientResponse) -> None:
        if response.status == 401:  # noqa: PLR2004 - HTTP: the token ran out
            await person.log_in(PASSWORD)
        response.raise_for_status()
