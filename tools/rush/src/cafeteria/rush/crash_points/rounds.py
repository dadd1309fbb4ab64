"""One life of one order, watched: to write down what passes, or to kill a service at one message and see what becomes.

Before every count the stage is at rest and silent, so that what is counted belongs to the order.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import msgspec

from cafeteria.rush.crash_points.lives import LIVES, Life, LifeFailedError, check_again
from cafeteria.rush.crash_points.points import Kind, Point
from cafeteria.rush.crash_points.settled import broken_promises, come_to_rest
from cafeteria.rush.crash_points.stage import Stage
from cafeteria.rush.crash_points.tap import Place
from cafeteria.rush.crash_points.waiting import true_within
from cafeteria.rush.crash_points.watchers import Listener, Trap

SILENCE_S = 0.4
"""What follows an order's end, marks of delivery for one, comes sooner than this."""
HUSH_S = 0.1
"""Before a count: what a stream's opening or a start sets off is over sooner than this."""
SILENT_WITHIN_S = 10.0
IDLE_S = 6.0
"""Long enough for every loop to have come round: the slowest looks every five seconds."""
STREAM_WITHIN_S = 15.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one crash. Where it was not `met`, the service was never killed."""

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
        """The topics of what goes on while nobody orders: the loops, also those that look after earlier orders."""
        orders = [row["id"] for row in await self.stage.database.fetch("SELECT id FROM gateway.orders")]
        listener = Listener()
        self.stage.watch(listener)
        await asyncio.gather(check_again(self.stage, orders), asyncio.sleep(IDLE_S))
        self.stage.watch(None)
        return frozenset(listener.topics)

    async def record(self, life: str) -> Counter[Kind]:
        """How many messages of each kind pass in one undisturbed life. Raises what goes wrong in it."""
        async with self._begun(life) as deeds:
            listener = Listener(self.background)
            self.stage.watch(listener)
            await deeds.live()
            await come_to_rest(self.stage)
            await _silence(listener, SILENCE_S)
        return listener.count.numbers

    async def strike(self, point: Point) -> Outcome:
        """Kill the point's service at its message; then heal, let the student ask again, and look at everything."""
        began_at = monotonic()
        victim = self.stage.victims[point.kind.service]
        troubles: list[str] = []
        async with self._begun(point.life) as deeds:
            trap = Trap(point, background=self.background, kill=victim.kill)
            self.stage.watch(trap)
            living = asyncio.create_task(_live(deeds, troubles))
            met = await self._sprung(trap, living)
            self.stage.watch(None)
            if met:
                await victim.start()
            await living
            await victim.ready(self.stage.http)
            left = await come_to_rest(self.stage)
            troubles += await broken_promises(self.stage, left)
        new = tuple(trouble for trouble in troubles if trouble not in self._reported)
        self._reported.update(new)
        return Outcome(point=point, met=met, violations=new, lasted_s=monotonic() - began_at)

    async def _sprung(self, trap: Trap, living: "asyncio.Task[None]") -> bool:
        """Whether it did, before the life was over."""
        over = asyncio.create_task(self._over(trap, living))
        sprung = asyncio.create_task(trap.sprung.wait())
        await asyncio.wait((over, sprung), return_when=asyncio.FIRST_COMPLETED)
        for task in (over, sprung):
            task.cancel()
        await asyncio.gather(over, sprung, return_exceptions=True)
        return trap.sprung.is_set()

    async def _over(self, trap: Trap, living: "asyncio.Task[None]") -> None:
        await asyncio.wait((living,))
        await come_to_rest(self.stage)
        await _silence(trap, SILENCE_S)

    @asynccontextmanager
    async def _begun(self, name: str) -> AsyncIterator[Life]:
        """A student with an open stream, whose order is marked, and nothing else moves."""
        student = await self.stage.new_student()
        life = LIVES[name](self.stage, student)
        await self.stage.kitchen_in(life.kitchen_mode)
        async with self.stage.followed(student):
            listener = Listener(self.background)
            self.stage.watch(listener)
            if not await true_within(STREAM_WITHIN_S, self._is_followed):
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


async def _live(life: Life, troubles: list[str]) -> None:
    try:
        await life.live()
    except (TimeoutError, LifeFailedError) as error:
        troubles.append(f"the student's wish: {error or 'no final answer in time'}")


async def _silence(heard: Listener | Trap, seconds: float) -> None:
    """Wait until nothing that counts has passed for so long; a stage that is never silent is taken as it is."""

    async def is_silent() -> bool:
        return heard.silent_for_s >= seconds

    await true_within(SILENT_WITHIN_S, is_silent)
