"""Record: log each status of the stream once, a batch in one commit, and push to the open streams what is logged.

The log is written before anything is pushed, and what is pushed comes from the log. So replicas, redelivery and a lost
stream neither hide nor repeat a status.
"""

from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging.dead_letters import WHOLE_MESSAGE, DeadLetter, DeadLetters
from cafeteria.chassis.messaging.envelope import ENCODER
from cafeteria.chassis.messaging.items import UnreadableItem, items_decoder_for
from cafeteria.chassis.messaging.ordered_reader import Batch, ReadState, StoredMessage
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.orders import OrderStatusChanged, OrderStatusesChanged
from cafeteria.contracts.subjects import NOTIFICATION_STREAM
from cafeteria.notification.domain import LoggedStatus, Status, sequence_to_follow, statuses_of
from cafeteria.notification.errors import ImpossibleEvent, LogSetBack
from cafeteria.notification.logged_versions import LoggedVersions
from cafeteria.notification.repository import log, record_statuses
from cafeteria.notification.repository.record_statuses import CounterMoved
from cafeteria.notification.sse_hub import SseHub

PUSH_LIMIT = 1000  # rows of the log in memory at once, about 1 MiB

LOGGED = metrics.counter("cafeteria_statuses_logged_total", "Statuses new in the log")
BATCH_MESSAGES = metrics.histogram(
    "cafeteria_log_batch_messages", "Messages in one commit of the log", buckets=metrics.BATCH_ITEMS_BUCKETS
)
BATCH_SECONDS = metrics.histogram("cafeteria_log_batch_seconds", "From a batch's arrival to its push")

_decode_events = items_decoder_for(OrderStatusesChanged).decode
logger = get_logger()


class RecordStatuses:
    """Records what the ordered reader of the stream of status events delivers, and pushes it to the hub's streams."""

    def __init__(self, database: Database, hub: SseHub, dead_letters: DeadLetters) -> None:
        self._database = database
        self._hub = hub
        self._dead_letters = dead_letters
        self._logged_versions = LoggedVersions()
        self._last_position: int | None = None  # the counter after this process's last commit
        self._is_only_writer = False  # no other process has moved the counter since
        self._logged = LOGGED.metric()
        self._batch_messages = BATCH_MESSAGES.metric()
        self._batch_seconds = BATCH_SECONDS.metric()

    async def start_position(self, read_state: ReadState) -> int:
        """Return the sequence of the stream after which to read. Push what was logged since the reader stopped."""
        async with self._database.statement() as connection:
            before = await log.read_counter(connection)
        state = await read_state()
        async with self._database.transaction() as connection:
            mark = await record_statuses.lock_counter(connection)
            after = sequence_to_follow(
                mark, before=before, epoch=state.epoch, last_sequence=state.last_sequence
            )
            if (mark.stream_epoch, mark.stream_sequence) != (state.epoch, after):
                await record_statuses.follow_stream(connection, epoch=state.epoch, sequence=after)
        self._logged_versions.clear()
        await self._push(mark.position, [])
        return after

    async def record_batch(self, batch: Batch) -> None:
        """Log the batch in one commit, then push. Safe to repeat after any failure."""
        started = perf_counter()
        statuses = await self._readable_statuses(batch)
        position, added = await self._record(batch, statuses)
        self._logged_versions.add(statuses)
        await self._push(position, added)
        self._report(batch, added, perf_counter() - started)

    async def push_logged(self) -> None:
        """Push what another replica has logged from a stream that was lost: no message brings it to this process."""
        async with self._database.statement() as connection:
            mark = await log.read_counter(connection)
        await self._push(mark.position, [])

    async def _readable_statuses(self, batch: Batch) -> list[Status]:
        """Return each status of an order once, in order of arrival; store what cannot be read as dead letters."""
        found: dict[tuple[object, int], Status] = {}
        unreadable: list[DeadLetter] = []
        for message in batch.messages:
            for place, item in _items_of(message):
                statuses = self._statuses_of(item)
                if isinstance(statuses, UnreadableItem):
                    unreadable.append(_dead_letter(message, place, statuses))
                else:
                    for status in statuses:
                        found.setdefault((status.order_id, status.version), status)
        if unreadable:
            await self._dead_letters.add(unreadable)
        return list(found.values())

    def _statuses_of(self, item: OrderStatusChanged | UnreadableItem) -> list[Status] | UnreadableItem:
        if isinstance(item, UnreadableItem):
            return item
        try:
            return statuses_of(item, logged=self._logged_versions.of(item.order_id))
        except ImpossibleEvent as error:
            return UnreadableItem(ENCODER.encode(item), str(error))

    async def _record(self, batch: Batch, statuses: list[Status]) -> tuple[int, list[LoggedStatus]]:
        """Return the log's last position before the commit, and the added statuses.

        The only writer needs no lock: one round trip instead of four.
        """
        if self._is_only_writer and self._last_position is not None:
            position = self._last_position
            with suppress(CounterMoved):
                async with self._database.statement() as connection:
                    added = await self._write(connection, batch, statuses, position=position)
                self._last_position = position + len(added)
                return position, added
        async with self._database.transaction() as connection:
            position = (await record_statuses.lock_counter(connection)).position
            self._require_not_set_back(position)
            added = await self._write(connection, batch, statuses, position=position)
        self._is_only_writer = position == self._last_position
        self._last_position = position + len(added)
        return position, added

    def _require_not_set_back(self, position: int) -> None:
        """Raise LogSetBack once: statuses that the batch left out as logged may be gone. The retry leaves out none."""
        if self._last_position is not None and position < self._last_position:
            self._logged_versions.clear()
            self._last_position = None
            raise LogSetBack(position)

    async def _write(
        self, connection: AsyncConnection, batch: Batch, statuses: list[Status], *, position: int
    ) -> list[LoggedStatus]:
        return await record_statuses.record(
            connection,
            statuses,
            position=position,
            epoch=batch.epoch,
            sequence=batch.last_sequence,
            now=now(),
        )

    async def _push(self, position: int, added: Sequence[LoggedStatus]) -> None:
        """Push all statuses above the last pushed position. `added` follow `position` without a gap."""
        self._hub.log_is_at(position)
        if self._hub.pushed == position:
            self._hub.push(added)
        else:
            await self._push_from_log(upto=position + len(added))

    async def _push_from_log(self, *, upto: int) -> None:
        """Push statuses that another replica, or a commit with an unknown outcome, has logged."""
        while (after := self._hub.pushed) is not None and after < upto and not self._hub.is_empty:
            async with self._database.statement() as connection:
                rows = await record_statuses.read_log(connection, after=after, limit=PUSH_LIMIT)
            if not rows:
                break
            self._hub.push(rows)
        self._hub.skip_to(upto)

    def _report(self, batch: Batch, added: Sequence[LoggedStatus], seconds: float) -> None:
        self._logged.inc(len(added))
        self._batch_messages.observe(len(batch.messages))
        self._batch_seconds.observe(seconds)
        logger.info(
            "batch_logged",
            messages=len(batch.messages),
            statuses=len(added),
            sequence=batch.last_sequence,
            duration_ms=round(seconds * 1000, 2),
        )


def _items_of(message: StoredMessage) -> list[tuple[int, Any]]:
    """Return the events of a message, readable or not, each with its place in the message."""
    try:
        return list(enumerate(_decode_events(message.body)))
    except msgspec.MsgspecError as error:
        return [(WHOLE_MESSAGE, UnreadableItem(message.body, str(error)))]


def _dead_letter(message: StoredMessage, place: int, item: UnreadableItem) -> DeadLetter:
    return DeadLetter(
        stream=NOTIFICATION_STREAM.name,
        sequence=message.sequence,
        stored_at=message.stored_at,
        item=place,
        subject=message.subject,
        message_id=message.message_id,
        body=item.body,
        error=item.error,
    )
