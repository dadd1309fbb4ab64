"""Periodic background jobs: a loop continues after a failed tick and stops between ticks, or cancels a long one."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from cafeteria.chassis.observability import logs, metrics
from cafeteria.chassis.runtime.errors import Unavailable

LEAVE_WITHIN_S = 0.5
"""At a stop a longer tick is cancelled: a service stops within three seconds. All ticks are safe to repeat."""

FAILURES = metrics.counter("cafeteria_loop_failures_total", "Ticks of a background loop that failed", "loop")

_log = logs.get_logger()


class Loop:
    """Calls `tick` at once and then every `every_s` seconds, counted from the end of the previous tick.

    Leaving the context waits LEAVE_WITHIN_S for the running tick. `wake()` starts the next tick now; several wakes
    during a tick start one. A failure is counted each time, and logged if its type or place differs from the previous one.
    """

    def __init__(self, name: str, every_s: float, tick: Callable[[], Awaitable[object]]) -> None:
        self.name = name
        self._every_s = every_s
        self._tick = tick
        self._woken = asyncio.Event()
        self._stopping = False
        self._failing: str | None = None
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        self._woken.set()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=f"loop-{self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._woken.set()
        if self._task is None:
            return
        _, late = await asyncio.wait((self._task,), timeout=LEAVE_WITHIN_S)
        for task in late:
            task.cancel()
            await asyncio.wait((task,))

    async def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            await self._tick_once()
            if not self._stopping:
                await self._wait_for_next_tick()

    async def _wait_for_next_tick(self) -> None:
        try:
            async with asyncio.timeout(self._every_s):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _tick_once(self) -> None:
        try:
            await self._tick()
        except Exception as error:  # noqa: BLE001 - the loop continues after any error of its tick
            FAILURES.labels(self.name).inc()
            self._log_failure(error)
        else:
            if self._failing is not None:
                _log.info("loop_recovered", loop=self.name)
            self._failing = None

    def _log_failure(self, error: Exception) -> None:
        """Log a repeated failure once: an hour without a dependency is one line, not 3,600."""
        place = traceback.extract_tb(error.__traceback__, limit=-1)
        failure = f"{type(error).__qualname__} {place}"
        if failure != self._failing:
            self._failing = failure
            if isinstance(error, Unavailable):
                _log.warning("loop_failed", loop=self.name, reason=error.detail)
            else:
                _log.error("loop_failed", loop=self.name, exc_info=error)
