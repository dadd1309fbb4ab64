"""What notification does: log every status once, push what is logged, show it to whoever comes.

The log is written before anything is pushed, and what is pushed comes from the log: so replicas, redelivery and a
lost store hide nothing and repeat nothing.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from time import perf_counter
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import ANSWER_WITHIN_S, Database, DatabaseUnavailable
from cafeteria.chassis.messaging.dead_letters import WHOLE_MESSAGE, DeadLetter, DeadLetters
from cafeteria.chassis.messaging.envelope import ENCODER
from cafeteria.chassis.messaging.items import UnreadableItem, items_decoder_for
from cafeteria.chassis.messaging.ordered_reader import Batch, Look, StoredMessage
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.notification import Notifications
from cafeteria.contracts.orders import AskKnown, KnownAnswered, OrderStatusChanged, OrderStatusesChanged
from cafeteria.contracts.subjects import NOTIFICATION_STREAM
from cafeteria.notification import repository
from cafeteria.notification.domain import (
    Backlog,
    LoggedStatus,
    Status,
    Viewer,
    place_from,
    position_from_cursor,
    sequence_to_follow,
    statuses_of,
)
from cafeteria.notification.errors import ImpossibleEvent, LogSetBack
from cafeteria.notification.repository import CounterMoved
from cafeteria.notification.views import Event, EventStream, Hub, LoggedLately, Write, event_of

PAGE_LIMIT = 1000  # rows of the log in memory at once, about 1 MiB: a page of a backlog, a page to push

LOGGED = metrics.counter("cafeteria_statuses_logged_total", "Statuses new in the log")
BATCH_MESSAGES = metrics.histogram(
    "cafeteria_log_batch_messages", "Messages in one commit of the log", buckets=metrics.BATCH_ITEMS_BUCKETS
)
BATCH_SECONDS = metrics.histogram("cafeteria_log_batch_seconds", "From a batch's arrival to its push")

_decode_events = items_decoder_for(OrderStatusesChanged).decode
logger = get_logger()


class NotificationService:
    """`is_behind` says whether a status that is missing may just not have been read yet."""

    def __init__(
        self,
        database: Database,
        hub: Hub,
        dead_letters: DeadLetters,
        *,
        is_behind: Callable[[], Awaitable[bool]],
    ) -> None:
        self._database = database
        self._awaited = database.within(ANSWER_WITHIN_S)
        self._hub = hub
        self._dead_letters = dead_letters
        self._is_behind = is_behind
        self._logged_lately = LoggedLately()
        self._left_at: int | None = None  # the counter, after this process's last commit
        self._is_alone = False  # nobody else has moved it since
        self._logged = LOGGED.metric()
        self._batch_messages = BATCH_MESSAGES.metric()
        self._batch_seconds = BATCH_SECONDS.metric()

    async def begin(self, look: Look) -> int:
        """The reader (re)starts: where to go on. What was logged meanwhile is pushed."""
        async with self._database.statement() as connection:
            before = await repository.read_counter(connection)
        state = await look()
        async with self._database.transaction() as connection:
            mark = await repository.lock_counter(connection)
            after = sequence_to_follow(
                mark, before=before, epoch=state.epoch, last_sequence=state.last_sequence
            )
            if (mark.stream_epoch, mark.stream_sequence) != (state.epoch, after):
                await repository.follow_stream(connection, epoch=state.epoch, sequence=after)
        self._logged_lately = LoggedLately()
        await self._push(mark.position, [])
        return after

    async def take(self, batch: Batch) -> None:
        """One commit for the whole batch, then the push. Safe to repeat after any failure."""
        started = perf_counter()
        statuses = await self._readable_statuses(batch)
        position, added = await self._record(batch, statuses)
        self._logged_lately.add(statuses)
        await self._push(position, added)
        self._report(batch, added, perf_counter() - started)

    async def catch_up(self) -> None:
        """Nothing comes from the stream: push what another replica has logged from one that is lost since, and that
        nothing would ever bring here.
        """
        async with self._database.statement() as connection:
            mark = await repository.read_counter(connection)
        await self._push(mark.position, [])

    async def known(self, ask: AskKnown) -> KnownAnswered:
        """Which of these the log lacks, unless they may only not have been read yet."""
        async with self._database.statement() as connection:
            missing = await repository.read_missing(connection, ask.items)
        if missing and await self._is_behind():
            return KnownAnswered(behind=True)
        return KnownAnswered(missing=tuple(missing))

    async def open_backlog(self, viewer: Viewer, *, last_event_id: str | None) -> Backlog:
        """What a new stream has to show first. Raises DatabaseUnavailable, while an answer can still say so."""
        newest, seen = self._hub.pushed, place_from(last_event_id)
        if newest is None or seen is not None:
            async with self._awaited.statement() as connection:
                if seen is not None and await repository.read_place(connection, seen.position) != seen:
                    seen = None  # never given out by this log: shown as to one who comes for the first time
                if newest is None:
                    newest = (await repository.read_counter(connection)).position
        return Backlog.open(viewer, seen=seen, newest=newest, now=now())

    async def read_backlog(self, backlog: Backlog) -> list[Event]:
        """The next page; the backlog's end is reached when it says so. Raises DatabaseUnavailable."""
        if backlog.is_read:
            return []
        async with self._awaited.statement() as connection:
            rows = await repository.read_backlog(connection, backlog, limit=PAGE_LIMIT)
            backlog.advance(rows[-1].position if len(rows) == PAGE_LIMIT else backlog.upto)
            if backlog.is_read:
                backlog.end = await repository.read_place(connection, backlog.upto)
        return [event_of(row) for row in rows]

    def open_stream(
        self, viewer: Viewer, *, expires_at: datetime, write: Write, abort: Callable[[], None]
    ) -> EventStream:
        """To be followed; shown nothing yet."""
        return EventStream(self._hub, viewer, expires_at=expires_at, write=write, abort=abort)

    async def follow(self, stream: EventStream, backlog: Backlog, page: list[Event]) -> None:
        """Show the backlog, whose first page is here, and from then on what happens, without gap or repeat."""
        try:
            page = await self._show_to_last_page(stream, backlog, page)
            self._hub.join(stream, after=backlog.upto)
            backlog.extend(stream.last_position)
            page = await self._show_to_last_page(stream, backlog, page)
            await stream.show(page, tail=_bare_id(backlog, page))
        except DatabaseUnavailable:
            stream.close("unavailable")
        finally:
            stream.go_live()

    async def history(self, student_id: str, *, cursor: str | None, limit: int) -> Notifications:
        """A page of the delivery log, newest first. Raises UnknownCursor."""
        before = position_from_cursor(cursor)
        async with self._awaited.statement() as connection:
            rows = await repository.read_history(connection, student_id, before=before, limit=limit + 1)
        items = tuple(item for _, item in rows[:limit])
        return Notifications(items=items, next_cursor=str(rows[limit - 1][0]) if len(rows) > limit else None)

    async def mark_delivered(self) -> None:
        """Note what streams have taken since the last time."""
        positions = self._hub.take_delivered()
        if not positions:
            return
        try:
            async with self._database.statement() as connection:
                await repository.mark_delivered(connection, sorted(positions), now=now())
        except DatabaseUnavailable:
            self._hub.give_back_delivered(positions)
            raise

    async def _readable_statuses(self, batch: Batch) -> list[Status]:
        """Each order's status once, in the order in which they came; what cannot be read is put aside."""
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
            return statuses_of(item, logged=self._logged_lately.versions_of(item.order_id))
        except ImpossibleEvent as error:
            return UnreadableItem(ENCODER.encode(item), str(error))

    async def _record(self, batch: Batch, statuses: list[Status]) -> tuple[int, list[LoggedStatus]]:
        """Where the counter stood, and what was added. The only writer needs no lock: one round trip, not four."""
        if self._is_alone and self._left_at is not None:
            position = self._left_at
            with suppress(CounterMoved):
                async with self._database.statement() as connection:
                    added = await self._write(connection, batch, statuses, position=position)
                self._left_at = position + len(added)
                return position, added
        async with self._database.transaction() as connection:
            position = (await repository.lock_counter(connection)).position
            self._require_not_set_back(position)
            added = await self._write(connection, batch, statuses, position=position)
        self._is_alone = position == self._left_at
        self._left_at = position + len(added)
        return position, added

    def _require_not_set_back(self, position: int) -> None:
        """Raises LogSetBack, once: what this process remembers as logged may be gone, and its batch leaned on that."""
        if self._left_at is not None and position < self._left_at:
            self._logged_lately, self._left_at = LoggedLately(), None
            raise LogSetBack(position)

    async def _write(
        self, connection: AsyncConnection, batch: Batch, statuses: list[Status], *, position: int
    ) -> list[LoggedStatus]:
        return await repository.record(
            connection,
            statuses,
            position=position,
            epoch=batch.epoch,
            sequence=batch.last_sequence,
            now=now(),
        )

    async def _push(self, position: int, added: list[LoggedStatus]) -> None:
        """All above the last position that was pushed. `added` follows on `position`, where the counter stood."""
        self._hub.follow(position)
        if self._hub.pushed == position:
            self._hub.push(added)
        else:
            await self._push_from_log(upto=position + len(added))

    async def _push_from_log(self, *, upto: int) -> None:
        """Another replica, or a commit whose outcome was unknown, has logged what is not pushed here yet."""
        while (after := self._hub.pushed) is not None and after < upto and not self._hub.is_empty:
            async with self._database.statement() as connection:
                rows = await repository.read_log(connection, after=after, limit=PAGE_LIMIT)
            if not rows:
                break
            self._hub.push(rows)
        self._hub.skip(upto)

    async def _show_to_last_page(
        self, stream: EventStream, backlog: Backlog, page: list[Event]
    ) -> list[Event]:
        while not backlog.is_read and stream.closed_for is None:
            await stream.show(page)
            page = await self.read_backlog(backlog)
        return page

    def _report(self, batch: Batch, added: list[LoggedStatus], seconds: float) -> None:
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
    """Each with its place in the message."""
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


def _bare_id(backlog: Backlog, page: list[Event]) -> bytes:
    """Tells the client how far it has seen, where no event of its own says so."""
    if backlog.end is None or (page and page[-1].position == backlog.upto):
        return b""
    return b"id: %b\n\n" % backlog.end.event_id
