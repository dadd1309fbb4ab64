"""Group commit: the items that arrive during one commit form the next batch.

A batch never waits for more items, so a single item is as fast as without grouping; under load the batches
grow. One bad item never fails the others: a failing batch is halved until the bad item is alone. Items are
committed in order of arrival, and items that were enqueued together are committed together.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Generic, Self, TypeVar

from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.runtime.errors import Overloaded, Unavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

Entry = tuple[Item, asyncio.Future[Outcome]]

BATCH_LIMIT = 128  # items; in larger batches the items cost more answer time than the commit
QUEUE_LIMIT = 4096  # items


class GroupCommit(Generic[Item, Outcome]):
    """One worker that commits batches. `commit` gets items and returns an outcome for each, in the same order.

    `commit` must be safe to repeat for the same items: if the database connection is lost during a batch, it is
    unknown whether the batch was committed, and the worker tries it once more.
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
        self._waiting: deque[tuple[Entry[Item, Outcome], ...]] = deque()
        self._queued = 0
        self._running = 0
        self._began_at_s: float | None = None
        self._arrived = asyncio.Event()
        self._closing = False
        self._batch_items = metrics.GROUP_BATCH_ITEMS.labels(name)
        self._commit_seconds = metrics.GROUP_COMMIT_SECONDS.labels(name)
        metrics.GROUP_PENDING.labels(name).set_function(lambda: self.pending)

    @property
    def pending(self) -> int:
        """Accepted items that have no outcome yet."""
        return self._queued + self._running

    @property
    def running_for_s(self) -> float:
        """Seconds since the current commit began, with all its tries; 0 if none is running."""
        return 0.0 if self._began_at_s is None else perf_counter() - self._began_at_s

    async def submit(self, item: Item) -> Outcome:
        """Return the outcome of `item` after its commit. Raises Overloaded if the queue is full: nothing was stored."""
        return await self.enqueue(item)

    def enqueue(self, item: Item) -> asyncio.Future[Outcome]:
        """As `submit`, without waiting. Cancelling the future removes its item from the queue."""
        [future] = self.enqueue_all((item,))
        return future

    def enqueue_all(self, items: Sequence[Item]) -> list[asyncio.Future[Outcome]]:
        """Enqueue all items for one commit, even if they are more than the batch limit.

        Raises Overloaded if the queue cannot hold all of them: then it takes none.
        """
        if self._closing:
            raise Unavailable("This service is stopping.")
        if self._queued + len(items) > self._queue_limit:
            raise Overloaded("Too many requests are waiting already.")
        loop = asyncio.get_running_loop()
        entries: tuple[Entry[Item, Outcome], ...] = tuple([(item, loop.create_future()) for item in items])
        if entries:
            self._waiting.append(entries)
            self._queued += len(entries)
            self._arrived.set()
        return [future for _, future in entries]

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work(), name=f"group-commit-{self.name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Commit the accepted items, then stop."""
        self._closing = True
        self._arrived.set()
        await self._worker

    async def _work(self) -> None:
        while not (self._closing and not self._waiting):
            await self._arrived.wait()
            batch = self._next_batch()
            if batch:
                await self._process(batch)
            elif not self._closing:
                self._arrived.clear()

    def _next_batch(self) -> list[Entry[Item, Outcome]]:
        batch: list[Entry[Item, Outcome]] = []
        while self._waiting and (not batch or len(batch) + len(self._waiting[0]) <= self._batch_limit):
            entries = self._waiting.popleft()
            self._queued -= len(entries)
            batch += [entry for entry in entries if not entry[1].cancelled()]
        return batch

    async def _process(self, batch: list[Entry[Item, Outcome]]) -> None:
        self._running = len(batch)
        self._began_at_s = started = perf_counter()
        try:
            await self._commit_or_halve(batch)
        finally:
            self._running, self._began_at_s = 0, None
        self._batch_items.observe(len(batch))
        self._commit_seconds.observe(perf_counter() - started)

    async def _commit_or_halve(self, batch: list[Entry[Item, Outcome]]) -> None:
        try:
            outcomes = await self._commit_twice([item for item, _ in batch])
        except DatabaseUnavailable as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - any error belongs to the item that caused it
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
        """Retry once on a new connection: the server may only have closed the old ones."""
        try:
            outcomes = await self._commit(items)
        except DatabaseUnavailable:
            outcomes = await self._commit(items)
        if len(outcomes) != len(items):
            raise RuntimeError(f"{self.name} gave {len(outcomes)} outcomes for {len(items)} items")
        return outcomes


def _fail(batch: Sequence[Entry[Item, Outcome]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
