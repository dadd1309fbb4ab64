"""Work that time starts: it goes on after a failed tick, and stops between ticks unless a tick waits for a silent peer."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from cafeteria.chassis import logs, metrics
from cafeteria.chassis.errors import Unavailable

LEAVE_WITHIN_S = 0.5
"""A tick that runs longer at the end is cut off, for a service leaves within three seconds. All ticks are safe to repeat."""

FAILURES = metrics.counter("cafeteria_loop_failures_total", "Ticks of a background loop that failed", "loop")

_log = logs.get_logger()


class Loop:
    """Calls `tick` at once and then every `every_s` seconds, counted from the end of the tick before.

    Leaving the context waits LEAVE_WITHIN_S for the running tick. `wake()` starts the next tick now; several wakes during a tick
    make one. A failure is logged when it is another than the one before (by type and place), and counted each time.
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
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._every_s):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _tick_once(self) -> None:
        try:
            await self._tick()
        except Exception as error:  # noqa: BLE001 - the loop outlives whatever its tick raises
            FAILURES.labels(self.name).inc()
            self._tell(error)
        else:
            if self._failing is not None:
                _log.info("loop_recovered", loop=self.name)
            self._failing = None

    def _tell(self, error: Exception) -> None:
        """A dependency that is away for an hour is one line, not 3,600."""
        place = traceback.extract_tb(error.__traceback__, limit=-1)
        failure = f"{type(error).__qualname__} {place}"
        if failure != self._failing:
            self._failing = failure
            if isinstance(error, Unavailable):
                _log.warning("loop_failed", loop=self.name, reason=error.detail)
            else:
                _log.error("loop_failed", loop=self.name, exc_info=error)
