"""Two scenes that are too rare in a mixed rush, repeated many times: the last portions, and one key sent many times.

just rush --scene last-portions     2,000 buyers for 100 portions, stock killed in each of 50 rounds
just rush --scene same-key          1,000 keys, each sent 50 times at once, under kills
"""

import asyncio
import itertools
import random
from collections import Counter
from typing import Protocol
from uuid import UUID

from cafeteria.contracts.gateway import OrderLine
from cafeteria.faultkit.history import CREATED
from cafeteria.faultkit.operators import Operators
from cafeteria.faultkit.snapshot import Snapshot
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


class Scene(Protocol):
    """A scene. `play` returns when every request has its answer; `judge` returns sentences about wrong stored data."""

    @property
    def question(self) -> str: ...

    async def play(self, load_clients: LoadClients, operators: Operators, nemesis: Nemesis) -> None: ...

    def judge(self, stored: Snapshot, load_clients: LoadClients) -> list[str]: ...


class LastPortions:
    """Each buyer orders one portion under their own key and repeats the request until the answer is final."""

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


SCENES: dict[str, type[LastPortions | SameKey]] = {"last-portions": LastPortions, "same-key": SameKey}
