"""Background jobs continue after failures; at the stop the current tick ends, or is cancelled after a time limit."""

import asyncio

from structlog.testing import capture_logs

from cafeteria.chassis.jobs import STOP_TIMEOUT_S, JobRunner
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.runtime.errors import Unavailable

NEVER_S = 3600.0


class Ticks:
    """A job that counts its ticks, and raises `error` if it is set."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None
        self.ticked = asyncio.Condition()

    async def tick(self) -> None:
        async with self.ticked:
            self.count += 1
            self.ticked.notify_all()
        if self.error is not None:
            raise self.error

    async def wait_for_ticks(self, count: int) -> None:
        async with asyncio.timeout(5), self.ticked:
            await self.ticked.wait_for(lambda: self.count >= count)


async def test_a_job_ticks_at_once_and_then_repeatedly() -> None:
    ticks = Ticks()
    async with JobRunner("probe", 0.001, ticks.tick):
        await ticks.wait_for_ticks(3)


async def test_a_wake_starts_the_next_tick_now() -> None:
    ticks = Ticks()
    wake = asyncio.Event()
    async with JobRunner("probe", NEVER_S, ticks.tick, wake=wake):
        await ticks.wait_for_ticks(1)
        wake.set()
        await ticks.wait_for_ticks(2)


async def test_a_wake_during_a_tick_is_not_lost() -> None:
    ticks = Ticks()
    entered, gate = asyncio.Event(), asyncio.Event()

    async def tick() -> None:
        entered.set()
        await gate.wait()
        await ticks.tick()

    wake = asyncio.Event()
    async with JobRunner("probe", NEVER_S, tick, wake=wake):
        await entered.wait()
        wake.set()
        wake.set()
        gate.set()
        await ticks.wait_for_ticks(2)
    assert ticks.count == 2


async def test_closing_waits_for_the_current_tick() -> None:
    entered, gate, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def tick() -> None:
        entered.set()
        await gate.wait()
        done.set()

    async with JobRunner("probe", NEVER_S, tick):
        await entered.wait()
        asyncio.get_running_loop().call_soon(gate.set)
    assert done.is_set()


async def test_a_tick_that_waits_for_a_silent_peer_is_cancelled_at_the_stop() -> None:
    entered, never = asyncio.Event(), asyncio.Event()

    async def tick() -> None:
        entered.set()
        await never.wait()

    async with asyncio.timeout(STOP_TIMEOUT_S + 10):
        async with JobRunner("probe", NEVER_S, tick):
            await entered.wait()


async def test_an_unavailable_dependency_is_logged_without_a_traceback() -> None:
    ticks = Ticks()
    ticks.error = Unavailable("The database does not answer just now.")
    with capture_logs() as lines:
        async with JobRunner("probe", 0.001, ticks.tick):
            await ticks.wait_for_ticks(3)
    assert lines == [
        {
            "event": "job_failed",
            "job": "probe",
            "reason": "The database does not answer just now.",
            "log_level": "warning",
        }
    ]


async def test_a_series_of_equal_failures_is_logged_once_and_each_is_counted() -> None:
    ticks = Ticks()
    ticks.error = ConnectionError("away")
    registry = metrics.app_registry()

    async def live() -> None:
        metrics.make_current(registry)
        async with JobRunner("probe", 0.001, ticks.tick):
            await ticks.wait_for_ticks(5)
            ticks.error = None
            await ticks.wait_for_ticks(ticks.count + 2)
            ticks.error = ConnectionError("away again")
            await ticks.wait_for_ticks(ticks.count + 2)

    with capture_logs() as lines:
        await asyncio.create_task(live())
    assert [line["event"] for line in lines] == ["job_failed", "job_recovered", "job_failed"]
    assert lines[0]["job"] == "probe"
    assert (registry.get_sample_value("cafeteria_job_failures_total", {"job": "probe"}) or 0) >= 6


async def test_another_failure_within_a_series_is_logged_too() -> None:
    ticks = Ticks()
    ticks.error = ConnectionError("away")
    with capture_logs() as lines:
        async with JobRunner("probe", 0.001, ticks.tick):
            await ticks.wait_for_ticks(3)
            ticks.error = KeyError("x")
            await ticks.wait_for_ticks(ticks.count + 3)
    assert [type(line["exc_info"]).__name__ for line in lines] == ["ConnectionError", "KeyError"]
