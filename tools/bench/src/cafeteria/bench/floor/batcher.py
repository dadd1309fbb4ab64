"""Group commit: the items that arrive during one commit form the next. An error ends the process."""

import asyncio
import os
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

BATCH_LIMIT = int(os.environ.get("FLOOR_BATCH_LIMIT", "1024"))
"""The most orders or events in one commit, message or request, where no smaller limit applies. 1 groups nothing."""


class Batcher:
    """Calls `commit` with lists of the added items. `size` is the number of orders or events in an item: the content of one
    message enters one commit, and exceeds the limit only when it is alone in it.
    """

    def __init__(self, commit: Callable[[list[Any]], Awaitable[None]], *, limit: int) -> None:
        self._commit = commit
        self._limit = min(limit, BATCH_LIMIT)
        self._waiting: deque[tuple[Any, int]] = deque()
        self._arrived = asyncio.Event()

    def add(self, item: Any, *, size: int = 1) -> None:
        self._waiting.append((item, size))
        self._arrived.set()

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                await self._commit(self._next())

    def _next(self) -> list[Any]:
        item, total = self._waiting.popleft()
        batch = [item]
        while self._waiting and total + self._waiting[0][1] <= self._limit:
            item, size = self._waiting.popleft()
            batch.append(item)
            total += size
        return batch


def new_id() -> UUID:
    """A UUIDv7: index pages fill in order."""
    milliseconds = time.time_ns() // 1_000_000
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | secrets.randbits(62))


async def run_all(*tasks: Awaitable[None]) -> None:
    """Run the tasks until one of them ends or fails; the process then ends too."""
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(_must_not_end(task))


async def _must_not_end(task: Awaitable[None]) -> None:
    await task
    raise SystemExit(0)
