"""The relay publishes outbox rows to JetStream in id order; one relay at a time works on a schema.

It takes the advisory lock and reads the rows over the same connection. A relay that loses the lock has also lost that
connection, so two relays never work on one outbox at once. Postgres ends an idle session, so a frozen or disconnected
relay delays the rows for seconds only.
"""

import asyncio
import zlib
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import (
    Database,
    require_usable,
)
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.database.statement import Statement
from cafeteria.chassis.messaging import Bus, NotStored
from cafeteria.chassis.messaging.outbox import Outbox, OutboxRow
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger

POLL_S = 0.5  # finds rows that another replica, or an earlier process, left
RETRY_S = 0.5  # after a failure; the rows stay in the outbox
PASS_LIMIT = 1_024  # rows in one pass: four full messages of one subject, about a megabyte
COUNT_LIMIT = 100_000  # rows; an operator needs no exact number above it

SILENT_FOR_S = 15  # idle session limit: longer than a pass waits for JetStream; a cut pass is published again

_TRY_LOCK = Statement("SELECT pg_try_advisory_lock(:key) AS is_held")
_LIMIT_SILENCE = Statement("SELECT set_config('idle_session_timeout', :limit, false)")

RELAYED = metrics.counter("cafeteria_outbox_relayed_total", "Outbox rows published to JetStream")
REMAINING = metrics.gauge("cafeteria_outbox_rows", "Outbox rows that remained after the last pass")
FAILURES = metrics.counter("cafeteria_outbox_failures_total", "Relay passes that failed")

logger = get_logger()


class Relay:
    """Publishes a schema's outbox while its block is open. Call `wake` after a commit that added rows.

    `remaining_rows` is the number of remaining rows: counted after each pass that leaves some, and twice a second while passes
    fail or another relay holds the lock.

    Passes start at least `every_s` seconds apart: rows of that time are published together, at a lower cost.
    """

    def __init__(
        self, database: Database, bus: Bus, outbox: Outbox, *, service: str, every_s: float = 0.0
    ) -> None:
        self._database = database
        self._bus = bus
        self._outbox = outbox
        self._every_s = every_s
        self.remaining_rows = 0
        self._lock_key = zlib.crc32(f"{service}.relay".encode())
        self._woken = asyncio.Event()
        self._closing = asyncio.Event()
        self._failing = False
        self._task: asyncio.Task[None] | None = None
        self._service = service

    def wake(self) -> None:
        self._woken.set()

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
                await self._hold_lock_and_publish()
            except (DatabaseUnavailable, NotStored) as error:
                self._log_failure(error)
            except Exception as error:  # noqa: BLE001 - the rows are safe; the relay continues after any error
                self._log_failure(error, unforeseen=True)
            await _wait(self._closing, RETRY_S)

    async def _hold_lock_and_publish(self) -> None:
        async with self._database.statement() as connection:
            may_hold_lock = True
            try:
                [lock] = await _TRY_LOCK.rows(connection, {"key": self._lock_key})
                may_hold_lock = lock.is_held
                await self._count(connection)
                if may_hold_lock:
                    await require_usable(connection)  # else the same rows would be published repeatedly
                    await _LIMIT_SILENCE.rows(connection, {"limit": f"{SILENT_FOR_S}s"})
                while may_hold_lock and not self._closing.is_set():
                    next_at_s = monotonic() + self._every_s
                    has_published = await self._publish_next_rows(connection)
                    await _wait(self._woken, POLL_S)
                    if has_published:
                        await _wait(self._closing, next_at_s - monotonic())
            finally:
                if may_hold_lock:  # also if unknown: a pooled connection would keep the session's lock
                    await connection.invalidate()

    async def _publish_next_rows(self, connection: AsyncConnection) -> bool:
        """Return whether the outbox had rows."""
        self._woken.clear()
        rows = await self._outbox.read(connection, limit=PASS_LIMIT)
        if not rows:
            return False
        await self._publish(connection, rows)
        if len(rows) == PASS_LIMIT:
            self.wake()
            await self._count(connection)
        else:
            self._set_remaining(0)
        if self._failing:
            self._failing = False
            logger.info("relay_recovered", service=self._service)
        return True

    async def _publish(self, connection: AsyncConnection, rows: Sequence[OutboxRow]) -> None:
        """Delete the acknowledged rows in one statement; the rows of other messages stay."""
        try:
            await self._bus.publish_stored(rows)
        except NotStored as error:
            await self._delete(connection, error.stored_rows)
            raise
        await self._delete(connection, [row.id for row in rows])

    async def _delete(self, connection: AsyncConnection, row_ids: Sequence[int]) -> None:
        if row_ids:
            await self._outbox.delete(connection, row_ids)
            RELAYED.metric().inc(len(row_ids))

    async def _count(self, connection: AsyncConnection) -> None:
        self._set_remaining(await self._outbox.count(connection, limit=COUNT_LIMIT))

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


async def _wait(event: asyncio.Event, seconds: float) -> None:
    if seconds <= 0:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
