"""When the cook looks: when something is due, when work has come and a station is free, and otherwise hardly ever."""

import asyncio
from datetime import timedelta

import pytest

from cafeteria.chassis.runtime.clock import now
from cafeteria.kitchen import loops
from cafeteria.kitchen.loops import CookLoop
from cafeteria.kitchen.service.cooking import Tick

IDLE = Tick(moved=0, is_full=False, again_at=None)


@pytest.fixture(autouse=True)
def never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What looks within this test was woken or had something due, however slow the machine is."""
    monkeypatch.setattr(loops, "COOK_POLL_S", 3600.0)


class Cooking:
    """Plays a list of ticks, then idles; `ticked` counts."""

    def __init__(self, *ticks: Tick) -> None:
        self._ticks = list(ticks)
        self.ticked = 0
        self._changed = asyncio.Condition()

    async def tick(self) -> Tick:
        async with self._changed:
            self.ticked += 1
            self._changed.notify_all()
        return self._ticks.pop(0) if self._ticks else IDLE

    async def has_ticked(self, times: int) -> None:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: self.ticked >= times)


def in_s(seconds: float, *, is_full: bool = False, moved: int = 1) -> Tick:
    return Tick(moved=moved, is_full=is_full, again_at=now() + timedelta(seconds=seconds))


async def test_new_work_is_looked_at_now() -> None:
    cooking = Cooking()
    async with CookLoop(cooking) as loop:
        await cooking.has_ticked(1)
        loop.wake()
        await cooking.has_ticked(2)


async def test_what_is_due_is_looked_at_then() -> None:
    cooking = Cooking(in_s(0.05), in_s(0), in_s(-1))
    async with CookLoop(cooking):
        await cooking.has_ticked(4)


async def test_work_that_comes_while_every_station_is_taken_is_not_looked_at() -> None:
    cooking = Cooking(in_s(60, is_full=True))
    async with CookLoop(cooking) as loop:
        await cooking.has_ticked(1)
        for _ in range(100):
            loop.wake()
            await asyncio.sleep(0)
        assert cooking.ticked == 1


async def test_the_next_that_is_due_is_looked_at_although_every_station_is_taken() -> None:
    cooking = Cooking(in_s(0.05, is_full=True))
    async with CookLoop(cooking):
        await cooking.has_ticked(2)


async def test_what_somebody_else_holds_is_looked_at_again_after_a_pause() -> None:
    cooking = Cooking(in_s(-1, moved=0), in_s(-1, moved=0))
    started = now()
    async with CookLoop(cooking):
        await cooking.has_ticked(3)
    assert now() - started >= timedelta(seconds=0.1)
