"""Periodic background jobs: a job goes on after a failed run, and stops between two runs or cancels a long one."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Generic, Self, TypeVar

import msgspec

from cafeteria.chassis.observability import logs, metrics
from cafeteria.chassis.runtime.errors import Unavailable

STOP_TIMEOUT_S = 0.5
"""At a stop a longer run is cancelled: a service stops within three seconds. Every run is safe to repeat."""

FAILURES = metrics.counter("cafeteria_job_failures_total", "Runs of a periodic job that failed", "job")

Service = TypeVar("Service")

_log = logs.get_logger()


class Job(msgspec.Struct, Generic[Service], frozen=True, kw_only=True):
    """A periodic job, declared as data.

    `run` works once; it may return the seconds until the next run, if that is earlier than `every_s` after its end.
    Setting the event `wake` starts the next run at once. Where `is_needed` returns False the job never runs.
    """

    name: str
    every_s: float
    run: Callable[[Service], Awaitable[float | None]]
    wake: Callable[[Service], asyncio.Event | None] = lambda _: None
    is_needed: Callable[[Service], bool] = lambda _: True

    def runner(self, service: Service) -> "JobRunner":
        """Return what runs this job of `service`."""
        return JobRunner(self.name, self.every_s, partial(self.run, service), wake=self.wake(service))


class JobRunner:
    """Runs `work` at once and then `every_s` seconds after the end of the previous run, or earlier if `wake` is set.

    Leaving the context waits STOP_TIMEOUT_S for the current run. Setting `wake` several times during a run starts one more.
    A failure is counted each time, and logged if its type or place differs from the previous one.
    """

    def __init__(
        self,
        name: str,
        every_s: float,
        work: Callable[[], Awaitable[float | None]],
        *,
        wake: asyncio.Event | None = None,
    ) -> None:
        self.name = name
        self._every_s = every_s
        self._work = work
        self._wake = wake or asyncio.Event()
        self._stopping = False
        self._failing: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=f"job-{self.name}")
        return self

    async def __aexit__(self, *_exit: object) -> None:
        self._stopping = True
        self._wake.set()
        if self._task is None:
            return
        _, late = await asyncio.wait((self._task,), timeout=STOP_TIMEOUT_S)
        for task in late:
            task.cancel()
            await asyncio.wait((task,))

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            pause_s = await self._run_once()
            if not self._stopping:
                await self._wait(self._every_s if pause_s is None else min(pause_s, self._every_s))

    async def _wait(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._wake.wait()

    async def _run_once(self) -> float | None:
        try:
            pause_s = await self._work()
        except Exception as error:  # noqa: BLE001 - the job goes on after any error of one run
            FAILURES.labels(self.name).inc()
            self._log_failure(error)
            return None
        if self._failing is not None:
            _log.info("job_recovered", job=self.name)
        self._failing = None
        return pause_s

    def _log_failure(self, error: Exception) -> None:
        """Log a repeated failure once: an hour without a dependency is one line, not 3,600."""
        place = traceback.extract_tb(error.__traceback__, limit=-1)
        failure = f"{type(error).__qualname__} {place}"
        if failure != self._failing:
            self._failing = failure
            if isinstance(error, Unavailable):
                _log.warning("job_failed", job=self.name, reason=error.detail)
            else:
                _log.error("job_failed", job=self.name, exc_info=error)
