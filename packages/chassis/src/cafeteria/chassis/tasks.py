"""Work that nobody awaits: kept from the garbage collector, drained at shutdown, never failing in silence.

asyncio.TaskGroup does not fit: there one task's failure cancels its neighbours.
"""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from cafeteria.chassis import logs, metrics

FAILURES = metrics.counter("cafeteria_task_failures_total", "Background tasks that failed", "owner")

_log = logs.get_logger()


class ServiceTasks:
    """Leaving the context waits for what was started, `drain_s` seconds at most, then cancels what is left."""

    def __init__(self, owner: str, *, drain_s: float = 2.0) -> None:
        self._owner = owner
        self._drain_s = drain_s
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, object], *, name: str) -> None:
        """Runs in a copy of the caller's context: its log lines carry the caller's request_id."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def __len__(self) -> int:
        return len(self._running)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=self._drain_s)
        for task in late:
            _log.warning("task_abandoned", owner=self._owner, task=task.get_name())
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        FAILURES.labels(self._owner).inc()
        _log.error("task_failed", owner=self._owner, task=task.get_name(), exc_info=task.exception())
