"""Group commit: whatever arrived while the last commit was running forms the next one.

A batch never waits for company, so one item alone is as fast as without grouping; under load the batches
grow by themselves. One bad item never fails its neighbours: a batch that fails is halved until the bad one
stands alone. Items are taken in the order in which they came.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from types import TracebackType
from typing import Generic, Self, TypeVar

from cafeteria.chassis import metrics
from cafeteria.chassis.database import DatabaseUnavailable
from cafeteria.chassis.errors import Overloaded, Unavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

BATCH_LIMIT = 128  # past this a batch's own length shows in the answer time more than its commit does
QUEUE_LIMIT = 4096


class GroupCommit(Generic[Item, Outcome]):
    """One lane of commits. `commit` takes items and returns an outcome for each, in the same order.

    `commit` must be safe to repeat for the same items: when the database is lost in the middle of a batch,
    nobody knows whether it was committed, and the batch is tried once more.
    """

    def __init__(
        self,
        name: str,
        commit: Callable[[list[Item]], Awaitable[Sequence[Outcome]]],
        *,
        batch_limit: int = BATCH_LIMIT,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self.name = name
        self._commit = commit
        self._batch_limit = batch_limit
        self._queue_limit = queue_limit
        self._waiting: deque[tuple[Item, asyncio.Future[Outcome]]] = deque()
        self._running = 0
        self._began_at_s: float | None = None
        self._arrived = asyncio.Event()
        self._closing = False
        self._batch_items = metrics.GROUP_BATCH_ITEMS.labels(name)
        self._commit_seconds = metrics.GROUP_COMMIT_SECONDS.labels(name)
        metrics.GROUP_PENDING.labels(name).set_function(lambda: self.pending)

    @property
    def pending(self) -> int:
        """Items that have been accepted and are not settled yet."""
        return len(self._waiting) + self._running

    @property
    def running_for_s(self) -> float:
        """How long the commit that is running has taken so far, all its tries together; 0 when none is."""
        return 0.0 if self._began_at_s is None else perf_counter() - self._began_at_s

    async def submit(self, item: Item) -> Outcome:
        """Wait for the commit that holds `item`; raises Overloaded before anything has happened."""
        return await self.enqueue(item)

    def enqueue(self, item: Item) -> asyncio.Future[Outcome]:
        """As `submit`, for callers that go on at once. A cancelled future takes its item out of the queue."""
        if self._closing:
            raise Unavailable("This service is stopping.")
        if len(self._waiting) >= self._queue_limit:
            raise Overloaded("Too many requests are waiting already.")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._arrived.set()
        return future

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work(), name=f"group-commit-{self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commit what was accepted, then stop."""
        self._closing = True
        self._arrived.set()
        await self._worker

    async def _work(self) -> None:
        while not (self._closing and not self._waiting):
            await self._arrived.wait()
            batch = self._take()
            if batch:
                await self._settle(batch)
            elif not self._closing:
                self._arrived.clear()

    def _take(self) -> list[tuple[Item, asyncio.Future[Outcome]]]:
        batch: list[tuple[Item, asyncio.Future[Outcome]]] = []
        while self._waiting and len(batch) < self._batch_limit:
            entry = self._waiting.popleft()
            if not entry[1].cancelled():
                batch.append(entry)
        return batch

    async def _settle(self, batch: list[tuple[Item, asyncio.Future[Outcome]]]) -> None:
        self._running = len(batch)
        self._began_at_s = started = perf_counter()
        try:
            await self._commit_or_halve(batch)
        finally:
            self._running, self._began_at_s = 0, None
        self._batch_items.observe(len(batch))
        self._commit_seconds.observe(perf_counter() - started)

    async def _commit_or_halve(self, batch: list[tuple[Item, asyncio.Future[Outcome]]]) -> None:
        try:
            outcomes = await self._commit_twice([item for item, _ in batch])
        except DatabaseUnavailable as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the item that caused it
            if len(batch) == 1:
                _fail(batch, error)
                return
            middle = len(batch) // 2
            await self._commit_or_halve(batch[:middle])
            await self._commit_or_halve(batch[middle:])
        else:
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)

    async def _commit_twice(self, items: list[Item]) -> Sequence[Outcome]:
        """The second time on a fresh connection: the server may only have closed the old ones."""
        try:
            outcomes = await self._commit(items)
        except DatabaseUnavailable:
            outcomes = await self._commit(items)
        if len(outcomes) != len(items):
            raise RuntimeError(f"{self.name} gave {len(outcomes)} outcomes for {len(items)} items")
        return outcomes


def _fail(batch: Sequence[tuple[Item, asyncio.Future[Outcome]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
