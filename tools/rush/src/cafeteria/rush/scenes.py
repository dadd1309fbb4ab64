"""Scenes that are too rare in a mixed rush: the last portions, one key sent many times, one student who buys it all.

just rush --scene last-portions     2,000 buyers for 100 portions, stock killed in each of 50 rounds
just rush --scene same-key          1,000 keys, each sent 50 times at once, under kills
just rush --scene buy-out           one student orders everything, and the limits leave the others theirs
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar, Protocol
from uuid import UUID

from cafeteria.contracts.gateway import OrderLine
from cafeteria.contracts.subjects import GATEWAY, NOTIFICATION
from cafeteria.faultkit.history import CONFLICT, CREATED
from cafeteria.faultkit.operators import Operators
from cafeteria.faultkit.snapshot import Snapshot
from cafeteria.faultkit.student import Student
from cafeteria.local_stack.tasks import running
from cafeteria.rush.load_clients import ANSWER_DEADLINE_S, LoadClients
from cafeteria.rush.load_phase import together
from cafeteria.rush.nemesis import Nemesis, PlannedInjection

AT_ONCE = 128
"""How many buyers of one round wait for their answer at the same time."""
KEYS_AT_ONCE = 4

KILLS = ("kill-gateway", "kill-stock", "nats-kill", "backends-terminated", "postgres-immediate")
KILL_EVERY_S = 1.0
STOCK_DIES_AFTER_S = 0.6
"""The latest kill after the first buyer of a round; the portions are sold within about a second."""

OPEN_ORDERS, PORTIONS_PER_HOUR = 5, 40
BUYERS_DISHES, BUYERS_PORTIONS, BUYERS_ORDERS = 13, 20, 50
DISH_PORTIONS = 400
"""Enough for all others beside what the limit leaves the buyer, who asks for 1,000 in each round."""

Settings = Mapping[str, Mapping[str, str]]
"""Environment variables by service."""


class Scene(Protocol):
    """A scene. `settings` are those of the services. `play` returns when every request has its answer; `judge` returns sentences about wrong stored data."""

    settings: ClassVar[Settings]

    @property
    def question(self) -> str: ...

    async def play(self, load_clients: LoadClients, operators: Operators, nemesis: Nemesis) -> None: ...

    def judge(self, stored: Snapshot, load_clients: LoadClients) -> list[str]: ...


class LastPortions:
    """Each buyer orders one portion under their own key and repeats the request until the answer is final."""

    settings: ClassVar[Settings] = {}
    question = "exactly as many were sold as there were"

    def __init__(self, *, rounds: int = 50, buyers: int = 2_000, portions: int = 100) -> None:
        self._rounds = rounds
        self._buyers = buyers
        self._portions = portions
        self.dishes: dict[UUID, str] = {}

    async def play(self, load_clients: LoadClients, operators: Operators, nemesis: Nemesis) -> None:
        for number in range(1, self._rounds + 1):
            name = f"Last portions {number}"
            dish = await operators.set_out(name, portions=self._portions)
            self.dishes[dish] = name
            await together(self._buy(load_clients, dish), _kill_stock(nemesis))

    async def _buy(self, load_clients: LoadClients, dish: UUID) -> None:
        gate = asyncio.Semaphore(AT_ONCE)
        lines = (OrderLine(item_id=dish, quantity=1),)

        async def buy(number: int) -> None:
            async with gate:
                student = load_clients.students[number % len(load_clients.students)]
                await student.order(lines, key=f"{dish}-{number}", deadline_s=ANSWER_DEADLINE_S)

        async with asyncio.TaskGroup() as group:
            for number in range(self._buyers):
                group.create_task(buy(number))

    def judge(self, stored: Snapshot, load_clients: LoadClients) -> list[str]:
        created = [exchange for exchange in load_clients.history.orders() if exchange.status == CREATED]
        accepted = Counter({exchange.key: exchange.lines[0].item_id for exchange in created}.values())
        left = {item.item_id: item.quantity for item in stored.items}
        return [
            f"{name}: {accepted[dish]} orders were accepted for {self._portions} portions, and {left[dish]} are left"
            for dish, name in self.dishes.items()
            if accepted[dish] != self._portions or left[dish] != 0
        ]


class SameKey:
    """Each key is sent many times at once to any gateway, then repeated until the answer is final."""

    settings: ClassVar[Settings] = {}
    question = "one order and one answer for each key"

    def __init__(self, *, keys: int = 1_000, sends: int = 50) -> None:
        self._keys = keys
        self._sends = sends

    async def play(self, load_clients: LoadClients, _operators: Operators, nemesis: Nemesis) -> None:
        gate = asyncio.Semaphore(KEYS_AT_ONCE)

        async def send(number: int) -> None:
            lines = (
                OrderLine(
                    item_id=load_clients.menu.others[number % len(load_clients.menu.others)], quantity=1
                ),
            )
            key = f"same-{number}"
            student = load_clients.students[number % len(load_clients.students)]
            async with gate:
                await asyncio.gather(*(student.order_once(lines, key=key) for _ in range(self._sends)))
                await student.order(lines, key=key, deadline_s=ANSWER_DEADLINE_S)

        async with running(_kill_one_after_another(nemesis)), asyncio.TaskGroup() as group:
            for number in range(self._keys):
                group.create_task(send(number))

    def judge(self, stored: Snapshot, load_clients: LoadClients) -> list[str]:
        answers: dict[str | None, set[bytes]] = {}
        for exchange in load_clients.history.orders():
            if exchange.status == CREATED:
                answers.setdefault(exchange.key, set()).add(exchange.body)
        sentences = [
            f"key {key} was answered in {len(bodies)} ways"
            for key, bodies in answers.items()
            if len(bodies) > 1
        ]
        if len(stored.orders) != self._keys or len(answers) != self._keys:
            sentences.append(
                f"{self._keys} keys made {len(stored.orders)} orders and {len(answers)} of them were answered"
            )
        return sentences


class BuyOut:
    """One student orders all portions of all dishes, twice, while each of the others orders one portion.

    Each gateway judges what it stores itself: of the first orders, sent at once, each may accept as many as the limit.
    """

    settings: ClassVar[Settings] = {
        GATEWAY: {
            "GATEWAY_OPEN_ORDERS": str(OPEN_ORDERS),
            "GATEWAY_PORTIONS_PER_HOUR": str(PORTIONS_PER_HOUR),
        },
        NOTIFICATION: {"NOTIFICATION_STREAMS": "8"},
    }
    question = "the limit stopped one student, and no other"

    def __init__(self, *, dishes: int = BUYERS_DISHES, orders: int = BUYERS_ORDERS) -> None:
        self._dishes = dishes
        self._orders = orders
        self.later_keys: frozenset[str] = frozenset()

    async def play(self, load_clients: LoadClients, operators: Operators, _nemesis: Nemesis) -> None:
        dishes = [
            await operators.set_out(f"Dish {number}", portions=DISH_PORTIONS)
            for number in range(1, self._dishes + 1)
        ]
        buyer, *others = load_clients.students
        await together(
            self._buy_out(buyer, dishes, round_number=1),
            *(
                student.order(
                    (OrderLine(item_id=dishes[number % len(dishes)], quantity=1),),
                    key=f"honest-{number}",
                    deadline_s=ANSWER_DEADLINE_S,
                )
                for number, student in enumerate(others)
            ),
        )
        self.later_keys = await self._buy_out(buyer, dishes, round_number=2)

    async def _buy_out(self, buyer: Student, dishes: list[UUID], *, round_number: int) -> frozenset[str]:
        lines = tuple(OrderLine(item_id=dish, quantity=BUYERS_PORTIONS) for dish in dishes)
        keys = [f"buy-out-{round_number}-{number}" for number in range(self._orders)]
        await asyncio.gather(*(buyer.order_once(lines, key=key) for key in keys))
        return frozenset(keys)

    def judge(self, stored: Snapshot, load_clients: LoadClients) -> list[str]:
        buyer = load_clients.students[0].student_id
        answers = load_clients.history.orders()
        bought: Counter[UUID] = Counter()
        for order in stored.orders.values():
            if order.student_id == buyer and order.status not in {"REJECTED", "CANCELLED"}:
                bought.update(order.lines)
        most = PORTIONS_PER_HOUR * load_clients.gateways
        sentences = [
            f"the buyer has {portions} portions of {dish}"
            for dish, portions in bought.items()
            if portions > most
        ]
        if not bought:
            sentences.append("the buyer got nothing")
        sentences += [
            f"the buyer's later order {each.key} was answered {each.status}"
            for each in answers
            if each.key in self.later_keys and each.status != HTTPStatus.TOO_MANY_REQUESTS
        ]
        sentences += [
            f"student {each.student_id} was answered {each.status}"
            for each in answers
            if each.student_id != buyer and each.status in {CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
        ]
        return sentences


async def _kill_stock(nemesis: Nemesis) -> None:
    number = len(nemesis.injections)
    after_s = random.Random(f"{nemesis.seed}:{number}").uniform(0, STOCK_DIES_AFTER_S)  # noqa: S311 - repeatable
    await nemesis.inject(PlannedInjection(number=number, name="kill-stock", after_s=after_s))


async def _kill_one_after_another(nemesis: Nemesis) -> None:
    """Inject kills until cancelled."""
    for number in itertools.count():
        await nemesis.inject(
            PlannedInjection(number=number, name=KILLS[number % len(KILLS)], after_s=KILL_EVERY_S)
        )


SCENES: dict[str, type[LastPortions | SameKey | BuyOut]] = {
    "last-portions": LastPortions,
    "same-key": SameKey,
    "buy-out": BuyOut,
}
