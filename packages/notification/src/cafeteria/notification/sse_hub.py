"""The open event streams of this process, and the hub that offers them each newly logged status.

A stream shows rising positions, each once: it leaves out an event that is not above its last position. An idle stream
has no task and no timer: a task lives only while a write waits for its client, so that a slow client delays no other. A restart may lose
all of this memory, because the log holds every status.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol, Self, TypeVar
from uuid import UUID

from cafeteria.chassis.observability import logs, metrics
from cafeteria.chassis.runtime import eager
from cafeteria.notification.canteen_broadcast import CanteenBroadcast
from cafeteria.notification.domain import LoggedStatus, Viewer
from cafeteria.notification.sse_events import HEARTBEAT, Event, event_of

QUEUE_LIMIT = 512  # events that wait while others are being written, beyond the sockets' own buffers
HEARTBEAT_S = 15  # proxies cut a connection that is silent for longer; a fifteenth of the streams each second
END_TIMEOUT_S = 1.0  # a stop has three seconds in all, and waits for no stuck client
YIELD_EVERY = 100  # heartbeats before other tasks run

PUSHED = metrics.counter("cafeteria_events_pushed_total", "Events written to streams")
CLOSED = metrics.counter("cafeteria_event_streams_closed_total", "Streams ended by this service", "reason")
OPEN = metrics.gauge("cafeteria_event_streams", "Open streams that get each new event")


logger = logs.get_logger()


class Write(Protocol):
    """Writes to the response; waits while the client's buffers are full. The last chunk has `more=False`."""

    async def __call__(self, chunk: bytes, *, more: bool = True) -> None: ...


Key = TypeVar("Key")


class EventStream:
    """One open stream. Events that are offered before `go_live` wait, while the stream shows its replay window."""

    __slots__ = (
        "_abort",
        "_hub",
        "_is_held",
        "_waiting",
        "_write",
        "_writer",
        "closed_for",
        "expires_at",
        "heartbeat_slot",
        "last_position",
        "session",
        "shows_canteen",
        "viewer",
    )

    def __init__(
        self,
        hub: "SseHub",
        viewer: Viewer,
        *,
        session: UUID,
        expires_at: datetime,
        write: Write,
        abort: Callable[[], None],
        shows_canteen: bool = False,
    ) -> None:
        self._hub = hub
        self._write = write
        self._abort = abort
        self._waiting: list[Event] = []
        self._is_held = True
        self._writer: asyncio.Task[None] | None = None
        self.viewer = viewer
        self.session = session
        self.shows_canteen = shows_canteen
        self.expires_at = expires_at
        self.last_position = 0
        self.closed_for: str | None = None
        self.heartbeat_slot = 0
        hub.opened(self)

    async def replay(self, events: Sequence[Event], *, tail: bytes = b"") -> None:
        """Write a part of the replay window; return when the client's buffers have room for more."""
        if self.closed_for is not None:
            return
        if chunk := b"".join([*[event.block for event in events], tail]):
            await self._write(chunk)
        self._hub.written(events)

    def go_live(self) -> None:
        """Write the events that wait, and from now on each event that is offered."""
        self._is_held = False
        self._start_writing()
        if self.shows_canteen and self.closed_for is None:
            self._hub.canteen.add(self)

    def offer(self, events: Iterable[Event]) -> None:
        """Write these events as soon as the client's buffers have room. Close the stream if too many events wait."""
        order_id = self.viewer.order_id
        had_waiting = bool(self._waiting)
        for event in events:
            if event.position > self.last_position and order_id in (None, event.order_id):
                self.last_position = event.position
                self._waiting.append(event)
        if had_waiting and len(self._waiting) > QUEUE_LIMIT:
            self.close("slow")
        self._start_writing()

    def offer_canteen(self, block: bytes) -> bool:
        """Write this block at once, unless something waits for the client; return whether it was written."""
        if self._waiting or self._writer is not None or self._is_held or self.closed_for is not None:
            return False
        self._waiting.append(Event(0, None, block, False))
        self._start_writing()
        return True

    def send_heartbeat(self) -> None:
        """Write a comment, unless something is being written already."""
        if self._writer is None and not self._is_held:
            self._waiting.append(HEARTBEAT)
            self._start_writing()

    def close(self, reason: str) -> None:
        """End the response after the current write; the client connects again with the last id that it saw.

        The connection of a client that does not read the end within END_TIMEOUT_S is aborted.
        """
        if self.closed_for is not None:
            return
        self.closed_for = reason
        self._waiting = []
        self._hub.remove(self)
        CLOSED.labels(reason).inc()
        self._start_writing()
        asyncio.get_running_loop().call_later(END_TIMEOUT_S, self._abort_unread)

    def abandon(self) -> None:
        """Stop writing: the client has disconnected."""
        self.closed_for = self.closed_for or "gone"
        self._hub.remove(self)
        if self._writer is not None:
            self._writer.cancel()

    def _abort_unread(self) -> None:
        if self._writer is not None or self._is_held:
            self._abort()

    def _start_writing(self) -> None:
        has_work = bool(self._waiting) or self.closed_for is not None
        if has_work and self._writer is None and not self._is_held:
            try:
                self._writer = eager.start(self._write_waiting())
            except Exception:
                logger.exception("stream_write_failed")
                self.abandon()

    async def _write_waiting(self) -> None:
        try:
            while self._waiting and self.closed_for is None:
                events, self._waiting = self._waiting, []
                await self._write(b"".join([event.block for event in events]))
                self._hub.written(events)
            if self.closed_for is not None:
                await self._write(b"", more=False)
        finally:
            self._writer = None


class SseHub:
    """All open streams of this process. Setting `closing` ends them, and each that is added later.

    `pushed` is the last position that the streams were offered; None until the log's last position is known.
    """

    def __init__(self, closing: asyncio.Event, canteen: CanteenBroadcast) -> None:
        self.canteen = canteen
        self._closing = closing
        self._closer: asyncio.Task[None] | None = None
        self.pushed: int | None = None
        self._by_student: dict[str, set[EventStream]] = {}
        self._by_slot: list[set[EventStream]] = [set() for _ in range(HEARTBEAT_S)]
        self._by_expiry: dict[int, set[EventStream]] = {}
        self._by_session: dict[UUID, set[EventStream]] = {}
        self._slot = 0
        self._delivered: set[int] = set()
        self._pushed_events = PUSHED.metric()
        OPEN.metric().set_function(lambda: sum(map(len, self._by_slot)))

    async def __aenter__(self) -> Self:
        self._closer = asyncio.create_task(self._close_on_stop(), name="close-streams")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._closer is not None:
            self._closer.cancel()
            await asyncio.wait({self._closer})

    @property
    def is_empty(self) -> bool:
        return not self._by_student

    def log_is_at(self, position: int) -> None:
        """Note the log's last position. If it was unknown or is set back, close all streams: their clients resume."""
        if self.pushed is None or position < self.pushed:
            self._close_all("log set back")
            self.pushed = position

    def skip_to(self, position: int) -> None:
        """Push nothing up to this position: it was pushed before, or no stream is open."""
        self.pushed = max(position, self.pushed or 0)

    def opened(self, stream: EventStream) -> None:
        """Note a new stream, which ends with its session also while it shows its replay window."""
        self._by_session.setdefault(stream.session, set()).add(stream)

    def end_sessions(self, sessions: Iterable[UUID]) -> None:
        """Close the streams of these sessions; most sessions have none here."""
        for session in sessions:
            for stream in tuple(self._by_session.get(session, ())):
                stream.close("session ended")

    def add(self, stream: EventStream, *, after: int) -> None:
        """Offer the stream every event after `pushed`, and after the position that it has shown already."""
        if stream.closed_for is not None:
            return
        stream.last_position = max(after, self.pushed or 0)
        if self._closing.is_set():
            stream.close("stopping")
            return
        stream.heartbeat_slot = self._slot
        self._by_slot[stream.heartbeat_slot].add(stream)
        self._by_student.setdefault(stream.viewer.student_id, set()).add(stream)
        self._by_expiry.setdefault(self._expiry_of(stream), set()).add(stream)

    def remove(self, stream: EventStream) -> None:
        """Remove a stream, if it is there."""
        self.canteen.remove(stream)
        self._by_slot[stream.heartbeat_slot].discard(stream)
        _discard(self._by_student, stream.viewer.student_id, stream)
        _discard(self._by_expiry, self._expiry_of(stream), stream)
        _discard(self._by_session, stream.session, stream)

    def push(self, logged: Sequence[LoggedStatus]) -> None:
        """Offer these statuses, which follow `pushed` without a gap, to the streams of their students."""
        by_student: dict[str, list[Event]] = {}
        for each in logged:
            if each.student_id in self._by_student:
                by_student.setdefault(each.student_id, []).append(event_of(each))
        for student_id, events in by_student.items():
            for stream in tuple(self._by_student[student_id]):
                stream.offer(events)
        if logged:
            self.pushed = logged[-1].position

    def written(self, events: Iterable[Event]) -> None:
        """Note that these events were written to a stream."""
        positions = [event.position for event in events if event.is_undelivered]
        self._pushed_events.inc(len(positions))
        self._delivered.update(positions)

    def pop_delivered(self) -> set[int]:
        """Return the positions that were written to streams since the last call."""
        delivered, self._delivered = self._delivered, set()
        return delivered

    def restore_delivered(self, positions: set[int]) -> None:
        """Return these positions again at the next call of `pop_delivered`: they could not be stored."""
        self._delivered |= positions

    async def tick(self, *, now: datetime) -> None:
        """Once a second: end the streams whose tokens have expired, and send a fifteenth of the others a heartbeat."""
        self._end_expired(int(now.timestamp()))
        self._slot = (self._slot + 1) % HEARTBEAT_S
        for number, stream in enumerate(tuple(self._by_slot[self._slot]), start=1):
            stream.send_heartbeat()
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def _close_on_stop(self) -> None:
        """End all streams as soon as the process has to stop: open ones would keep it running."""
        await self._closing.wait()
        self._close_all("stopping")

    def _close_all(self, reason: str) -> None:
        for streams in self._by_slot:
            for stream in tuple(streams):
                stream.close(reason)

    def _end_expired(self, second: int) -> None:
        for expiry in [each for each in self._by_expiry if each <= second]:
            for stream in tuple(self._by_expiry[expiry]):
                stream.close("expired")

    @staticmethod
    def _expiry_of(stream: EventStream) -> int:
        return int(stream.expires_at.timestamp())


def _discard(streams: dict[Key, set[EventStream]], key: Key, stream: EventStream) -> None:
    found = streams.get(key)
    if found is not None:
        found.discard(stream)
        if not found:
            del streams[key]
