"""The relay publishes outbox rows to JetStream in id order; one relay at a time works on a schema, under a lease.

A relay that stops or fails gives its lease back; a dead or frozen one delays the rows until the lease ends. No connection
is kept while the relay waits.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import Self

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.messaging import Bus, NotStored
from cafeteria.chassis.messaging.leased_outbox import LeasedOutbox, Reading
from cafeteria.chassis.messaging.outbox import Outbox, OutboxRow
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.chassis.runtime.ids import made_at

POLL_S = 0.5  # finds rows that another replica, or an earlier process, left
RETRY_S = 0.5  # after a failure; the rows stay in the outbox
PASS_LIMIT = 1_024  # rows in one pass: four full messages of one subject, about a megabyte
COUNT_LIMIT = 100_000  # rows; an operator needs no exact number above it

WAIT_LIMIT_S = 10.0  # a holder that works renews its lease every few seconds

RELAYED = metrics.counter("cafeteria_outbox_relayed_total", "Outbox rows published to JetStream")
REMAINING = metrics.gauge("cafeteria_outbox_rows", "Outbox rows that remained after the last pass")
OLDEST = metrics.gauge(
    "cafeteria_outbox_oldest_seconds",
    "Age of the oldest outbox row that this relay has read and not published; 0 without one",
)
LEASE_WAIT = metrics.gauge(
    "cafeteria_relay_lease_wait_seconds",
    "How long this relay has waited for a lease that its holder does not renew: alarm above 10",
)
FAILURES = metrics.counter("cafeteria_outbox_failures_total", "Relay passes that failed")

logger = get_logger()


class Relay:
    """Publishes a schema's outbox while its block is open. Call `wake` after a commit that added rows.

    `remaining_rows` is the number of remaining rows: counted after each pass that leaves some, and twice a second while passes
    fail or another relay holds the lease. `holder` names this process in the lease: its successor after a crash has the same
    name and continues at once.

    Passes start at least `every_s` seconds apart: rows of that time are published together, at a lower cost.
    """

    def __init__(
        self, database: Database, bus: Bus, outbox: Outbox, *, service: str, holder: str, every_s: float = 0.0
    ) -> None:
        self._database = database
        self._bus = bus
        self._outbox = outbox
        self._leased = LeasedOutbox(outbox, holder=holder)
        self._every_s = every_s
        self.remaining_rows = 0
        self._oldest_at: datetime | None = None
        OLDEST.metric().set_function(lambda: _age_s(self._oldest_at))
        self._lease_wait = _LeaseWait()
        self._woken = asyncio.Event()
        self._closing = asyncio.Event()
        self._failing = False
        self._task: asyncio.Task[None] | None = None
        self._service = service

    def wake(self) -> None:
        self._woken.set()

    async def check(self) -> None:
        """Raise Unavailable if this relay has waited WAIT_LIMIT_S for a lease that nobody renews."""
        if self._lease_wait.seconds >= WAIT_LIMIT_S:
            raise Unavailable(
                f"The relay has waited {self._lease_wait.seconds:.0f} s for a lease that its holder does not renew. "
                "Messages are kept and wait; the row in relay_lease names the holder."
            )

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=f"relay-{self._service}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the current pass. The next process, or a replica, publishes the remaining rows."""
        self._closing.set()
        self.wake()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._closing.is_set():
            try:
                await self._publish_under_lease()
            except (DatabaseUnavailable, NotStored) as error:
                self._log_failure(error)
            except Exception as error:  # noqa: BLE001 - the rows are safe; the relay continues after any error
                self._log_failure(error, unforeseen=True)
            await _wait(self._closing, RETRY_S)

    async def _publish_under_lease(self) -> None:
        """Publish until this relay stops, fails or loses the lease; then give the lease back."""
        await self._count()
        may_hold_lease = True  # also while the answer to a read is unknown
        try:
            while may_hold_lease and not self._closing.is_set():
                next_at_s = monotonic() + self._every_s
                reading = await self._read()
                may_hold_lease = reading.is_held
                if may_hold_lease:
                    await self._publish(reading.rows)
                    await _wait(self._woken, POLL_S)
                if reading.rows:
                    await _wait(self._closing, next_at_s - monotonic())
        finally:
            if may_hold_lease:
                await self._release()

    async def _read(self) -> Reading:
        self._woken.clear()
        async with self._database.statement() as connection:
            reading = await self._leased.read(connection, limit=PASS_LIMIT)
        self._lease_wait.note(reading)
        self._oldest_at = made_at(reading.rows[0].message_id) if reading.rows else None
        return reading

    async def _publish(self, rows: Sequence[OutboxRow]) -> None:
        """Delete the acknowledged rows in one statement; the rows of other messages stay."""
        if not rows:
            return
        try:
            await self._bus.publish_stored(rows)
        except NotStored as error:
            await self._delete(error.stored_rows)
            raise
        await self._delete([row.id for row in rows])
        await self._after_pass(is_full=len(rows) == PASS_LIMIT)

    async def _after_pass(self, *, is_full: bool) -> None:
        self._oldest_at = None
        if is_full:
            self.wake()
            await self._count()
        else:
            self._set_remaining(0)
        if self._failing:
            self._failing = False
            logger.info("relay_recovered", service=self._service)

    async def _delete(self, row_ids: Sequence[int]) -> None:
        if row_ids:
            async with self._database.statement() as connection:
                await self._leased.delete(connection, row_ids)
            RELAYED.metric().inc(len(row_ids))

    async def _release(self) -> None:
        with suppress(DatabaseUnavailable):  # then the lease ends by itself
            async with self._database.statement() as connection:
                await self._leased.release(connection)

    async def _count(self) -> None:
        async with self._database.statement() as connection:
            rows = await self._outbox.count(connection, limit=COUNT_LIMIT)
        self._set_remaining(rows)

    def _set_remaining(self, rows: int) -> None:
        self.remaining_rows = rows
        REMAINING.metric().set(rows)

    def _log_failure(self, error: Exception, *, unforeseen: bool = False) -> None:
        """Log the first failure of a series only: the relay tries twice a second."""
        FAILURES.metric().inc()
        if not self._failing:
            log = logger.error if unforeseen else logger.warning
            log("relay_failed", service=self._service, reason=str(error), exc_info=unforeseen and error)
        self._failing = True


class _LeaseWait:
    """Measures how long a relay has waited for a lease that does not move."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since: tuple[float, datetime | None] | None = (
            None  # when the waiting relay first saw this end of the lease
        )

    def note(self, reading: Reading) -> None:
        now_s = monotonic()
        if reading.is_held:
            self._since = None
        elif self._since is None or self._since[1] != reading.lease_until:
            self._since = (now_s, reading.lease_until)
        self.seconds = now_s - self._since[0] if self._since else 0.0
        LEASE_WAIT.metric().set(self.seconds)


def _age_s(at: datetime | None) -> float:
    return 0.0 if at is None else max(0.0, (now() - at).total_seconds())


async def _wait(event: asyncio.Event, seconds: float) -> None:
    if seconds <= 0:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
