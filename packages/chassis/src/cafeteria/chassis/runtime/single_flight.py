"""Keep an answer for a short time, so that many callers cost one question. The memory may be lost."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SingleFlight(Generic[Answer]):
    """Calls `ask` at most once in `valid_for_s` seconds, and once at a time; a failure is raised and not kept."""

    def __init__(self, ask: Callable[[], Awaitable[Answer]], *, valid_for_s: float) -> None:
        self._ask = ask
        self._valid_for_s = valid_for_s
        self._kept: tuple[float, Answer] | None = None
        self._asking = asyncio.Lock()

    async def get(self) -> Answer:
        async with self._asking:
            if self._kept is None or monotonic() - self._kept[0] >= self._valid_for_s:
                self._kept = (monotonic(), await self._ask())
            return self._kept[1]
