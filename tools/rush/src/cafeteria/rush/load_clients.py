"""The load clients: hundreds of students at once, what they order, how impatient they are, on how many devices.

They are impolite on purpose: they send keys twice in parallel, do not wait for answers, and drop streams.
"""

import asyncio
import random
from collections.abc import Iterable
from time import monotonic
from typing import TypeVar
from uuid import UUID

from cafeteria.contracts.gateway import OrderLine
from cafeteria.faultkit.cluster import Cluster
from cafeteria.faultkit.history import Exchange, History
from cafeteria.faultkit.operators import Menu
from cafeteria.faultkit.student import Student
from cafeteria.provisioning.demo_data import PASSWORD
from cafeteria.rush.load_control import LoadControl

LOGINS_AT_ONCE = 4
LOGIN_DEADLINE_S = 120.0
ANSWER_DEADLINE_S = 120.0

HOT_SHARE = 0.3
"""The share of orders that contain the hot dish."""

STYLES = {
    "plain": 0.76,  # one request, repeated until it is answered
    "doubled": 0.12,  # the same key several times at once
    "impatient": 0.08,  # gives up after a moment, then comes back
    "leaving": 0.04,  # gives up after a moment and never comes back
}
MOST_DOUBLES = 5
IMPATIENCE_S = (0.002, 0.3)
CANCEL_SHARE = 0.1
CANCEL_TWICE_SHARE = 0.2
CANCEL_LATER_SHARE = 0.5  # the others are perhaps quicker than the kitchen
CANCEL_AFTER_S = 0.05
READ_SHARE = 0.1
FOLLOW_ONE_SHARE = 0.03
MOST_FOLLOWED = 100  # streams of one order; they stay open to the end

DEVICES = {1: 0.6, 2: 0.3, 3: 0.1}
RESTLESS_SHARE = 0.4
RESTLESS_S = (1.0, 15.0)
"""How long a restless device stays connected."""

Choice = TypeVar("Choice")


class LoadClients:
    """All load clients. `unanswered` has a sentence for each request without a final answer in two minutes."""

    def __init__(self, cluster: Cluster, ids: Iterable[str], *, history: History, menu: Menu) -> None:
        seed = cluster.seed
        self.history = history
        self.gateways = len(cluster.urls.gateways)
        self.load_control = LoadControl(orders=0)
        self.menu = menu
        self.unanswered: list[str] = []
        self._chance = random.Random(f"{seed}:load-clients")  # noqa: S311 - repeatable on purpose
        self.students = [
            cluster.student(
                student_id,
                history,
                chance=random.Random(f"{seed}:{student_id}"),  # noqa: S311 - the same
            )
            for student_id in ids
        ]
        self._clients = 0
        self._followed_alone = 0
        self._following: set[asyncio.Task[None]] = set()

    async def arrive(self) -> None:
        """Log all students in and open the streams of all devices. Raises TimeoutError."""
        gate = asyncio.Semaphore(LOGINS_AT_ONCE)

        async def log_in(student: Student) -> None:
            async with gate:
                await student.log_in(PASSWORD, deadline_s=LOGIN_DEADLINE_S)

        await asyncio.gather(*(log_in(student) for student in self.students))
        for student in self.students:
            for _ in range(self._one_of(DEVICES)):
                restless = self._chance.random() < RESTLESS_SHARE
                self.follow(student, leave_after_s=RESTLESS_S if restless else None)

    async def order(self, load_control: LoadControl) -> None:
        """Send orders until all are placed and answered."""
        self.load_control = load_control
        async with asyncio.TaskGroup() as group:
            while await load_control.acquire():
                group.create_task(self._run_order(self._chance.choice(self.students)))

    async def leave(self) -> None:
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    def follow(
        self, student: Student, *, leave_after_s: tuple[float, float] | None, order_id: UUID | None = None
    ) -> asyncio.Task[None]:
        self._clients += 1
        following = student.follow(client=self._clients, leave_after_s=leave_after_s, order_id=order_id)
        task = asyncio.create_task(following)
        self._following.add(task)
        task.add_done_callback(self._stream_ended)
        return task

    def _stream_ended(self, task: asyncio.Task[None]) -> None:
        self._following.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.unanswered.append(f"a stream ended with an error: {error!r}")

    async def _run_order(self, student: Student) -> None:
        began_at = monotonic()
        lines, key = self._lines(), f"{self._chance.getrandbits(64):016x}"
        try:
            exchange = await self._place(student, lines, key)
        except TimeoutError:
            self.unanswered.append(
                f"student {student.student_id} got no final answer under key {key} in {ANSWER_DEADLINE_S:.0f} s"
            )
            exchange = None
        self.load_control.over(monotonic() - began_at)
        if exchange is not None and exchange.order_id is not None:
            await self._afterwards(student, exchange.order_id)

    async def _place(self, student: Student, lines: tuple[OrderLine, ...], key: str) -> Exchange | None:
        style = self._one_of(STYLES)
        if style == "doubled":
            sends = self._chance.randint(2, MOST_DOUBLES)
            await asyncio.gather(*(student.order_once(lines, key=key) for _ in range(sends)))
        if style in {"impatient", "leaving"}:
            patience_s = self._chance.uniform(*IMPATIENCE_S)
            exchange = await student.order_once(lines, key=key, patience_s=patience_s)
            if style == "leaving":
                return exchange
        return await student.order(lines, key=key, deadline_s=ANSWER_DEADLINE_S)

    async def _afterwards(self, student: Student, order_id: UUID) -> None:
        try:
            if self._chance.random() < CANCEL_SHARE:
                await self._cancel(student, order_id)
            if self._chance.random() < READ_SHARE:
                await student.read(order_id)
        except TimeoutError:
            self.unanswered.append(f"student {student.student_id} could not cancel order {order_id}")
        if self._chance.random() < FOLLOW_ONE_SHARE and self._followed_alone < MOST_FOLLOWED:
            self._followed_alone += 1
            self.follow(student, leave_after_s=None, order_id=order_id)

    async def _cancel(self, student: Student, order_id: UUID) -> None:
        if self._chance.random() < CANCEL_LATER_SHARE:
            await asyncio.sleep(self._chance.uniform(0, CANCEL_AFTER_S))
        times = 2 if self._chance.random() < CANCEL_TWICE_SHARE else 1
        await asyncio.gather(*(student.cancel(order_id, deadline_s=ANSWER_DEADLINE_S) for _ in range(times)))

    def _lines(self) -> tuple[OrderLine, ...]:
        dishes = self._chance.sample(self.menu.others, self._chance.choice((1, 1, 1, 2, 3)))
        if self._chance.random() < HOT_SHARE:
            dishes[0] = self.menu.hot
        return tuple(
            OrderLine(item_id=dish, quantity=self._chance.choice((1, 1, 1, 2, 2, 3))) for dish in dishes
        )

    def _one_of(self, shares: dict[Choice, float]) -> Choice:
        return self._chance.choices(list(shares), weights=list(shares.values()))[0]
