"""Runs one scenario: to record its messages, or to kill a service at one of them and check the result.

Before every count the test bed is quiescent and silent, so that every counted message belongs to the order.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import msgspec

from cafeteria.crash_points.environment import Stage
from cafeteria.crash_points.points import Kind, Point
from cafeteria.crash_points.promises import broken_promises
from cafeteria.crash_points.scenarios import LIVES, Life, LifeFailedError, check_again
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
    def __init__(self, stage: Stage, background: frozenset[tuple[Place, str]] = frozenset()) -> None:
        self.stage = stage
        self.background = background
        self._reported: set[str] = set()

    async def listen_at_rest(self) -> frozenset[tuple[Place, str]]:
        """Return the topics that occur while nobody orders: those of the jobs, including jobs for earlier orders."""
        orders = [row["id"] for row in await self.stage.database.fetch("SELECT id FROM gateway.orders")]
        listener = Listener()
        self.stage.watch(listener)
        await asyncio.gather(check_again(self.stage, orders), asyncio.sleep(IDLE_S))
        self.stage.watch(None)
        return frozenset(listener.topics)

    async def record(self, life: str) -> Counter[Kind]:
        """Count the messages of each kind in one run without a crash. Raises the scenario's errors."""
        async with self._begun(life) as scenario:
            listener = Listener(self.background)
            self.stage.watch(listener)
            await scenario.live()
            await until_carried(self.stage.bus, self.stage.database)
            await _silence(listener, SILENCE_S)
        return listener.count.numbers

    async def strike(self, point: Point) -> Outcome:
        """Kill the point's service at its message, restart it, let the student retry, and check all invariants."""
        began_at = monotonic()
        victim = self.stage.victims[point.kind.service]
        problems: list[str] = []
        async with self._begun(point.life) as life:
            trap = Trap(point, background=self.background, kill=victim.kill)
            self.stage.watch(trap)
            running = asyncio.create_task(_live(life, problems))
            met = await self._sprung(trap, running)
            self.stage.watch(None)
            if met:
                await victim.start()
            await running
            await victim.ready(self.stage.http)
            left = await until_carried(self.stage.bus, self.stage.database)
            problems += await broken_promises(self.stage, left)
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
        await until_carried(self.stage.bus, self.stage.database)
        await _silence(trap, SILENCE_S)

    @asynccontextmanager
    async def _begun(self, name: str) -> AsyncIterator[Life]:
        """Prepare a scenario: a student with an open stream, the order marked, and no other traffic."""
        student = await self.stage.new_student()
        life = LIVES[name](self.stage, student)
        await self.stage.kitchen_in(life.kitchen_mode)
        async with self.stage.followed(student):
            listener = Listener(self.background)
            self.stage.watch(listener)
            if not await is_true_within(STREAM_WITHIN_S, self._is_followed):
                raise LifeFailedError("notification opens no stream")
            self.stage.marks.watch(student.student_id)
            await life.begin()
            await _silence(listener, HUSH_S)
            try:
                yield life
            finally:
                self.stage.watch(None)

    async def _is_followed(self) -> bool:
        return await self.stage.open_streams() > 0


async def _live(life: Life, problems: list[str]) -> None:
    try:
        await life.live()
    except (TimeoutError, LifeFailedError) as error:
        problems.append(f"the student's request: {error or 'no final answer in time'}")


async def _silence(watcher: Listener | Trap, seconds: float) -> None:
    """Wait until no counted message has passed for `seconds`; give up after SILENT_WITHIN_S."""

    async def is_silent() -> bool:
        return watcher.silent_for_s >= seconds

    await is_true_within(SILENT_WITHIN_S, is_silent)
