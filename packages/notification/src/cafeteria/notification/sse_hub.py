"""The open streams: who is shown what, from memory that a restart may lose, for the log has it all.

A stream is shown positions in rising order, none twice: what is not above the last one that it was shown is left
out. One event is encoded once, whoever watches. A stream costs no task and no timer while nothing happens: a task
lives only while something is being written, so that a slow reader holds up nobody but itself.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Protocol, TypeVar
from uuid import UUID

import msgspec

from cafeteria.chassis.observability import metrics
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.contracts.notification import OrderStatusEvent
from cafeteria.notification.domain import LoggedStatus, Status, Viewer, place_of

QUEUE_LIMIT = 512  # events that wait while others are being written; the sockets' own buffers stand before it
HEARTBEAT_S = 15  # proxies cut what is silent for longer; the streams take turns, a fifteenth each second
END_WITHIN_S = 1.0  # so that a stop, which has three seconds, waits for no stuck reader
YIELD_EVERY = 100  # streams that are beaten before others have their turn

PUSHED = metrics.counter("cafeteria_events_pushed_total", "Events written to streams")
CLOSED = metrics.counter("cafeteria_event_streams_closed_total", "Streams ended by this service", "reason")
OPEN = metrics.gauge("cafeteria_event_streams", "Streams that are shown what happens")


class Write(Protocol):
    """Waits while the reader's buffers are full; the last chunk says that there is no more."""

    async def __call__(self, chunk: bytes, *, more: bool = True) -> None: ...


Key = TypeVar("Key")

_encode = msgspec.json.Encoder().encode
logger = get_logger()


class Event(msgspec.Struct, frozen=True):
    """One block of a stream, shared by all that show it. `is_news`: no stream had taken it when it was read."""

    position: int
    order_id: UUID | None
    block: bytes
    is_news: bool


HEARTBEAT = Event(0, None, b": still here\n\n", False)


def event_of(logged: LoggedStatus) -> Event:
    data = OrderStatusEvent(
        order_id=logged.order_id,
        status=logged.status,
        version=logged.version,
        at=logged.at,
        reason=logged.reason,
    )
    event_id = place_of(logged.position, logged.logged_at).event_id
    block = b"id: %b\nevent: order.status\ndata: %b\n\n" % (event_id, _encode(data))
    return Event(logged.position, logged.order_id, block, not logged.is_delivered)


class EventStream:
    """One open stream. Until `go_live` what is offered waits, while its backlog is shown."""

    __slots__ = (
        "_abort",
        "_hub",
        "_is_held",
        "_waiting",
        "_write",
        "_writer",
        "beat_turn",
        "closed_for",
        "expires_at",
        "last_position",
        "viewer",
    )

    def __init__(
        self, hub: "Hub", viewer: Viewer, *, expires_at: datetime, write: Write, abort: Callable[[], None]
    ) -> None:
        self._hub = hub
        self._write = write
        self._abort = abort
        self._waiting: list[Event] = []
        self._is_held = True
        self._writer: asyncio.Task[None] | None = None
        self.viewer = viewer
        self.expires_at = expires_at
        self.last_position = 0
        self.closed_for: str | None = None
        self.beat_turn = 0

    async def show(self, events: Sequence[Event], *, tail: bytes = b"") -> None:
        """Write a part of the backlog; returns when the reader's buffers have room for more."""
        if chunk := b"".join([*[event.block for event in events], tail]):
            await self._write(chunk)
        self._hub.took(events)

    def go_live(self) -> None:
        self._is_held = False
        self._start_writing()

    def offer(self, events: Iterable[Event]) -> None:
        """Show these as soon as the reader takes them; one that has let too many wait is closed, and resumes."""
        order_id = self.viewer.order_id
        is_behind = bool(self._waiting)
        for event in events:
            if event.position > self.last_position and order_id in (None, event.order_id):
                self.last_position = event.position
                self._waiting.append(event)
        if is_behind and len(self._waiting) > QUEUE_LIMIT:
            self.close("slow")
        self._start_writing()

    def beat(self) -> None:
        """Say that the stream lives, unless something is on its way anyhow."""
        if self._writer is None and not self._is_held:
            self._waiting.append(HEARTBEAT)
            self._start_writing()

    def close(self, reason: str) -> None:
        """End the response after what is being written; the client comes back with the last id that it saw.

        A reader that does not even take the end loses the connection.
        """
        if self.closed_for is not None:
            return
        self.closed_for = reason
        self._waiting = []
        self._hub.leave(self)
        CLOSED.labels(reason).inc()
        self._start_writing()
        asyncio.get_running_loop().call_later(END_WITHIN_S, self._abort_unread)

    def abandon(self) -> None:
        """The reader has gone."""
        self.closed_for = self.closed_for or "gone"
        self._hub.leave(self)
        if self._writer is not None:
            self._writer.cancel()

    def _abort_unread(self) -> None:
        if self._writer is not None or self._is_held:
            self._abort()

    def _start_writing(self) -> None:
        has_work = bool(self._waiting) or self.closed_for is not None
        if has_work and self._writer is None and not self._is_held:
            self._writer = asyncio.create_task(self._write_waiting())

    async def _write_waiting(self) -> None:
        try:
            while self._waiting and self.closed_for is None:
                events, self._waiting = self._waiting, []
                await self._write(b"".join([event.block for event in events]))
                self._hub.took(events)
            if self.closed_for is not None:
                await self._write(b"", more=False)
        finally:
            self._writer = None


class Hub:
    """All open streams of this process. `pushed` is the last position that they have been offered.

    None before anybody knows where the log stands.
    """

    def __init__(self) -> None:
        self.pushed: int | None = None
        self._by_student: dict[str, set[EventStream]] = {}
        self._by_turn: list[set[EventStream]] = [set() for _ in range(HEARTBEAT_S)]
        self._by_expiry: dict[int, set[EventStream]] = {}
        self._turn = 0
        self._taken: set[int] = set()
        self._is_closing = False
        self._pushed_events = PUSHED.metric()
        OPEN.metric().set_function(lambda: sum(map(len, self._by_turn)))

    @property
    def is_empty(self) -> bool:
        return not self._by_student

    def follow(self, position: int) -> None:
        """The log stands at `position`, says who has locked it. One that was set back is shown anew."""
        if self.pushed is None or position < self.pushed:
            self._close_everything("log set back")
            self.pushed = position

    def skip(self, position: int) -> None:
        """What was logged up to here needs no push: it has been pushed, or nobody watches."""
        self.pushed = max(position, self.pushed or 0)

    def join(self, stream: EventStream, *, after: int) -> None:
        """From now on the stream is offered what comes after `pushed`, and after what it has seen elsewhere."""
        stream.last_position = max(after, self.pushed or 0)
        if self._is_closing:
            stream.close("stopping")
            return
        stream.beat_turn = self._turn
        self._by_turn[stream.beat_turn].add(stream)
        self._by_student.setdefault(stream.viewer.student_id, set()).add(stream)
        self._by_expiry.setdefault(self._expiry_of(stream), set()).add(stream)

    def leave(self, stream: EventStream) -> None:
        """Does nothing for one that is not there."""
        self._by_turn[stream.beat_turn].discard(stream)
        _discard(self._by_student, stream.viewer.student_id, stream)
        _discard(self._by_expiry, self._expiry_of(stream), stream)

    def push(self, logged: Sequence[LoggedStatus]) -> None:
        """Offer these, which follow `pushed` without a gap, to whom they concern."""
        concerned: dict[str, list[Event]] = {}
        for each in logged:
            if each.student_id in self._by_student:
                concerned.setdefault(each.student_id, []).append(event_of(each))
        for student_id, events in concerned.items():
            for stream in tuple(self._by_student[student_id]):
                stream.offer(events)
        if logged:
            self.pushed = logged[-1].position

    def took(self, events: Iterable[Event]) -> None:
        """These have been written to a stream."""
        news = [event.position for event in events if event.is_news]
        self._pushed_events.inc(len(news))
        self._taken.update(news)

    def take_delivered(self) -> set[int]:
        """Positions that streams have taken since this was last asked."""
        taken, self._taken = self._taken, set()
        return taken

    def give_back_delivered(self, positions: set[int]) -> None:
        """They could not be marked: next time."""
        self._taken |= positions

    async def beat(self, *, now: datetime) -> None:
        """Once a second: end what has expired, and let one turn of the streams say that they live."""
        self._end_expired(int(now.timestamp()))
        self._turn = (self._turn + 1) % HEARTBEAT_S
        for number, stream in enumerate(tuple(self._by_turn[self._turn]), start=1):
            stream.beat()
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def close_all(self) -> None:
        """The process stops: end every stream, and each that comes later."""
        self._is_closing = True
        self._close_everything("stopping")

    def _close_everything(self, reason: str) -> None:
        for streams in self._by_turn:
            for stream in tuple(streams):
                stream.close(reason)

    def _end_expired(self, second: int) -> None:
        for expiry in [each for each in self._by_expiry if each <= second]:
            for stream in tuple(self._by_expiry[expiry]):
                stream.close("expired")

    @staticmethod
    def _expiry_of(stream: EventStream) -> int:
        return int(stream.expires_at.timestamp())


class LoggedLately:
    """Versions that are logged, of the orders that were heard of last: most of what events repeat of the past.

    It spares work and decides nothing: an event's own status is looked up in the log, whatever stands here.
    """

    def __init__(self, *, orders_limit: int = 20_000) -> None:
        self._orders_limit = orders_limit
        self._versions: dict[UUID, int] = {}

    def versions_of(self, order_id: UUID) -> int:
        """One bit for each version."""
        return self._versions.get(order_id, 0)

    def add(self, statuses: Iterable[Status]) -> None:
        for status in statuses:
            self._versions[status.order_id] = self.versions_of(status.order_id) | 1 << status.version
        if len(self._versions) > self._orders_limit:
            for order_id in list(islice(self._versions, self._orders_limit // 2)):
                del self._versions[order_id]


def _discard(streams: dict[Key, set[EventStream]], key: Key, stream: EventStream) -> None:
    there = streams.get(key)
    if there is not None:
        there.discard(stream)
        if not there:
            del streams[key]
