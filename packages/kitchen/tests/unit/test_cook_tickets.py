"""The cook job runs when a ticket is due, and when work arrives while a station is free; otherwise hardly ever."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from cafeteria.chassis.jobs import JobRunner
from cafeteria.chassis.runtime.clock import now
from cafeteria.kitchen.use_cases import cook_tickets
from cafeteria.kitchen.use_cases.cook_tickets import CookTickets, Tick

NEVER_S = 3600.0
IDLE = Tick(moved=0, is_full=False, again_at=None)


@pytest.fixture(autouse=True)
def never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick within this test was started by work or by a due ticket, however slow the machine is."""
    monkeypatch.setattr(cook_tickets, "POLL_S", NEVER_S)


class Cooking(CookTickets):
    """Plays a list of ticks, then idles; `ticked` counts."""

    def __init__(self, *ticks: Tick) -> None:
        database: Any = None  # the ticks are given
        super().__init__(database, stations=1, prep_s=lambda: 0.0, on_moved=lambda: None)
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


def running(cooking: Cooking) -> JobRunner:
    return JobRunner("cook", NEVER_S, cooking.run, wake=cooking.wake)


def in_s(seconds: float, *, is_full: bool = False, moved: int = 1) -> Tick:
    return Tick(moved=moved, is_full=is_full, again_at=now() + timedelta(seconds=seconds))


async def test_new_work_starts_a_tick_at_once() -> None:
    cooking = Cooking()
    async with running(cooking):
        await cooking.has_ticked(1)
        cooking.work_arrived()
        await cooking.has_ticked(2)


async def test_a_due_ticket_starts_a_tick_at_its_time() -> None:
    cooking = Cooking(in_s(0.05), in_s(0), in_s(-1))
    async with running(cooking):
        await cooking.has_ticked(4)


async def test_work_that_arrives_while_every_station_is_taken_starts_no_tick() -> None:
    cooking = Cooking(in_s(60, is_full=True))
    async with running(cooking):
        await cooking.has_ticked(1)
        for _ in range(100):
            cooking.work_arrived()
            await asyncio.sleep(0)
        assert cooking.ticked == 1


async def test_a_due_ticket_starts_a_tick_although_every_station_is_taken() -> None:
    cooking = Cooking(in_s(0.05, is_full=True))
    async with running(cooking):
        await cooking.has_ticked(2)


async def test_a_ticket_that_another_transaction_locks_is_tried_again_after_a_pause() -> None:
    cooking = Cooking(in_s(-1, moved=0), in_s(-1, moved=0))
    started = now()
    async with running(cooking):
        await cooking.has_ticked(3)
    assert now() - started >= timedelta(seconds=0.1)
