"""Runs one scenario: to record its messages, or to kill a service at one of them and check the result.

Before every count the environment is quiescent and silent, so that every counted message belongs to the order.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import msgspec

from cafeteria.crash_points.environment import Environment
from cafeteria.crash_points.points import Kind, Point
from cafeteria.crash_points.promises import broken_promises
from cafeteria.crash_points.scenarios import SCENARIOS, Scenario, ScenarioFailedError, check_again
from cafeteria.crash_points.watchers import Listener, Trap
from cafeteria.crash_points.wire_proxy import Place
from cafeteria.faultkit.quiescence import until_carried
from cafeteria.local_stack.polling import is_true_within

SILENCE_S = 0.4
"""Messages after an order's end, such as delivery marks, come sooner than this."""
HUSH_S = 0.1
"""Before a count: traffic that an opened stream or a start causes ends sooner than this."""
SILENT_WITHIN_S = 10.0
IDLE_S = 6.0
"""Long enough for every job to run: the slowest runs every five seconds."""
STREAM_WITHIN_S = 15.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one crash point. If it was not `met`, its message did not come and no service was killed."""

    point: Point
    met: bool
    violations: tuple[str, ...]
    lasted_s: float


class Rounds:
    def __init__(
        self, environment: Environment, background: frozenset[tuple[Place, str]] = frozenset()
    ) -> None:
        self.environment = environment
        self.background = background
        self._reported: set[str] = set()

    async def record_background(self) -> frozenset[tuple[Place, str]]:
        """Return the topics that occur while nobody orders: those of the jobs, including jobs for earlier orders."""
        orders = [row["id"] for row in await self.environment.database.fetch("SELECT id FROM gateway.orders")]
        listener = Listener()
        self.environment.watch(listener)
        await asyncio.gather(check_again(self.environment, orders), asyncio.sleep(IDLE_S))
        self.environment.watch(None)
        return frozenset(listener.topics)

    async def record(self, scenario: str) -> Counter[Kind]:
        """Count the messages of each kind in one run without a crash. Raises the scenario's errors."""
        async with self._begun(scenario) as running:
            listener = Listener(self.background)
            self.environment.watch(listener)
            await running.run()
            await until_carried(self.environment.bus, self.environment.database)
            await _silence(listener, SILENCE_S)
        return listener.count.numbers

    async def inject(self, point: Point) -> Outcome:
        """Kill the point's service at its message, restart it, let the student retry, and check all invariants."""
        began_at = monotonic()
        killable = self.environment.killables[point.kind.service]
        problems: list[str] = []
        async with self._begun(point.scenario) as scenario:
            trap = Trap(point, background=self.background, kill=killable.kill)
            self.environment.watch(trap)
            running = asyncio.create_task(_live(scenario, problems))
            met = await self._sprung(trap, running)
            self.environment.watch(None)
            if met:
                await killable.start()
            await running
            await killable.ready(self.environment.http)
            left = await until_carried(self.environment.bus, self.environment.database)
            problems += await broken_promises(self.environment, left)
        new = tuple(problem for problem in problems if problem not in self._reported)
        self._reported.update(new)
        return Outcome(point=point, met=met, violations=new, lasted_s=monotonic() - began_at)

    async def _sprung(self, trap: Trap, running: "asyncio.Task[None]") -> bool:
        """Return whether the trap sprang before the scenario ended."""
        over = asyncio.create_task(self._over(trap, running))
        sprung = asyncio.create_task(trap.sprung.wait())
        await asyncio.wait((over, sprung), return_when=asyncio.FIRST_COMPLETED)
        for task in (over, sprung):
            task.cancel()
        await asyncio.gather(over, sprung, return_exceptions=True)
        return trap.sprung.is_set()

    async def _over(self, trap: Trap, running: "asyncio.Task[None]") -> None:
        await asyncio.wait((running,))
        await until_carried(self.environment.bus, self.environment.database)
        await _silence(trap, SILENCE_S)

    @asynccontextmanager
    async def _begun(self, name: str) -> AsyncIterator[Scenario]:
        """Prepare a scenario: a student with an open stream, the order marked, and no other traffic."""
        student = await self.environment.new_student()
        scenario = SCENARIOS[name](self.environment, student)
        await self.environment.kitchen_in(scenario.kitchen_mode)
        async with self.environment.followed(student):
            listener = Listener(self.background)
            self.environment.watch(listener)
            if not await is_true_within(STREAM_WITHIN_S, self._is_followed):
                raise ScenarioFailedError("notification opens no stream")
            self.environment.marks.watch(student.student_id)
            await scenario.begin()
            await _silence(listener, HUSH_S)
            try:
                yield scenario
            finally:
                self.environment.watch(None)

    async def _is_followed(self) -> bool:
        return await self.environment.open_streams() > 0


async def _live(scenario: Scenario, problems: list[str]) -> None:
    try:
        await scenario.run()
    except (TimeoutError, ScenarioFailedError) as error:
        problems.append(f"the student's request: {error or 'no final answer in time'}")


async def _silence(watcher: Listener | Trap, seconds: float) -> None:
    """Wait until no counted message has passed for `seconds`; give up after SILENT_WITHIN_S."""

    async def is_silent() -> bool:
        return watcher.silent_for_s >= seconds

    await is_true_within(SILENT_WITHIN_S, is_silent)
