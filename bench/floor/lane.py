"""Grouping: whatever arrived while the last commit ran forms the next one. Nothing here survives an error."""

import asyncio
import os
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

BATCH_LIMIT = int(os.environ.get("FLOOR_BATCH_LIMIT", "128"))
"""With 1 nothing is grouped."""


class Lane:
    """`commit` takes a list; items that somebody waits for carry their own future."""

    def __init__(self, commit: Callable[[list[Any]], Awaitable[None]], *, limit: int = BATCH_LIMIT) -> None:
        self._commit = commit
        self._limit = limit
        self._waiting: deque[Any] = deque()
        self._arrived = asyncio.Event()

    def add(self, item: Any) -> None:
        self._waiting.append(item)
        self._arrived.set()

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                size = min(self._limit, len(self._waiting))
                await self._commit([self._waiting.popleft() for _ in range(size)])


def new_id() -> UUID:
    """A UUIDv7: index pages fill in order."""
    milliseconds = time.time_ns() // 1_000_000
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | secrets.randbits(62))


async def run_all(*tasks: Awaitable[None]) -> None:
    """Until one of them ends or fails: then the process does."""
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(_must_not_end(task))


async def _must_not_end(task: Awaitable[None]) -> None:
    await task
    raise SystemExit(0)
