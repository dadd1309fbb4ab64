"""The cook job runs when a ticket is due, and when work arrives while a station is free; otherwise hardly ever."""

import asyncio
from datetime import timedelta
from typing import cast

import pytest

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.jobs import JobRunner
from cafeteria.chassis.runtime.clock import now
from cafeteria.kitchen.use_cases import cook_tickets
from cafeteria.kitchen.use_cases.cook_tickets import CookTickets, Tick

NEVER_S = 3600.0
IDLE = Tick(moved=0, is_full=False, again_at=None)


@pytest.fixture(autouse=True)
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only work or a due ticket starts a tick in these tests, however slow the machine is."""
    monkeypatch.setattr(cook_tickets, "POLL_S", NEVER_S)


class ScriptedCooking(CookTickets):
    """Returns the given ticks one by one, then idle ones; `ticked` counts them."""

    def __init__(self, *ticks: Tick) -> None:
        super().__init__(
            cast("Database", None),  # the given ticks read nothing
            stations=1,
            prep_s=lambda: 0.0,
            on_moved=lambda _: None,
        )
        self._ticks = list(ticks)
        self.ticked = 0
        self._changed = asyncio.Condition()

    async def tick(self) -> Tick:
        async with self._changed:
            self.ticked += 1
            self._changed.notify_all()
        return self._ticks.pop(0) if self._ticks else IDLE

    async def wait_for_ticks(self, times: int) -> None:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: self.ticked >= times)


def running(cooking: ScriptedCooking) -> JobRunner:
    return JobRunner("cook", NEVER_S, cooking.run, wake=cooking.wake)


def tick_due_in(seconds: float, *, is_full: bool = False, moved: int = 1) -> Tick:
    return Tick(moved=moved, is_full=is_full, again_at=now() + timedelta(seconds=seconds))


async def test_new_work_starts_a_tick_at_once() -> None:
    cooking = ScriptedCooking()
    async with running(cooking):
        await cooking.wait_for_ticks(1)
        cooking.work_arrived()
        await cooking.wait_for_ticks(2)


async def test_a_due_ticket_starts_a_tick_at_its_time() -> None:
    cooking = ScriptedCooking(tick_due_in(0.05), tick_due_in(0), tick_due_in(-1))
    async with running(cooking):
        await cooking.wait_for_ticks(4)


async def test_work_that_arrives_while_every_station_is_taken_starts_no_tick() -> None:
    cooking = ScriptedCooking(tick_due_in(60, is_full=True))
    async with running(cooking):
        await cooking.wait_for_ticks(1)
        for _ in range(100):
            cooking.work_arrived()
            await asyncio.sleep(0)
        assert cooking.ticked == 1


async def test_a_due_ticket_starts_a_tick_although_every_station_is_taken() -> None:
    cooking = ScriptedCooking(tick_due_in(0.05, is_full=True))
    async with running(cooking):
        await cooking.wait_for_ticks(2)


async def test_a_ticket_that_another_transaction_locks_is_tried_again_after_a_pause() -> None:
    cooking = ScriptedCooking(tick_due_in(-1, moved=0), tick_due_in(-1, moved=0))
    started = now()
    async with running(cooking):
        await cooking.wait_for_ticks(3)
    assert now() - started >= timedelta(seconds=0.1)
