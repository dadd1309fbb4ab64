"""Notification: record, and the streams of events that students watch. What an event tells, and where to go on in a
stream, is `cafeteria.notification.domain` itself; the log's statement is that of `cafeteria.notification.repository`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from cafeteria.contracts.orders import AskKnown, KnownAnswered
from cafeteria.contracts.values import OrderVersion
from cafeteria.notification.domain import Mark, Status, sequence_to_follow, statuses_of
from cafeteria.rush.model.bus import Bus, Message
from cafeteria.rush.model.consumer import DeadLetters, is_unreadable, readable
from cafeteria.rush.model.scheduler import LOST, Commit, Replica, Request, Scheduler, Steps


class Reading(NamedTuple):
    """Which stream is read, and how much of it has been taken."""

    epoch: int
    messages: list[Message]


class NotificationTables:
    """`log` has the status at position n in its place n - 1."""

    __slots__ = ("dead_letters", "guards", "log", "logged", "scheduler", "stream_epoch", "stream_sequence")

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.guards = scheduler.guards
        self.log: list[Status] = []
        self.logged: set[tuple[int, int]] = set()
        self.stream_epoch = ""
        self.stream_sequence = 0
        self.dead_letters = DeadLetters()

    def mark(self) -> Mark:
        """Where the log stands, and what of the stream is in it."""
        return Mark(
            position=len(self.log), stream_epoch=self.stream_epoch, stream_sequence=self.stream_sequence
        )

    def begin(self, before: Mark, epoch: str, last_sequence: int) -> tuple[int, int]:
        """Where to go on in the stream, and where the log stands."""
        mark = self.mark()
        after = sequence_to_follow(mark, before=before, epoch=epoch, last_sequence=last_sequence)
        self.stream_epoch, self.stream_sequence = epoch, after
        return after, mark.position

    def record(self, statuses: Iterable[Status], epoch: str, sequence: int) -> int:
        """Record: log what the log lacks; returns where it stands then."""
        for status in statuses:
            pair = (status.order_id.int, status.version)
            if pair not in self.logged or not self.guards.logged_once:
                self.logged.add(pair)
                self.log.append(status)
                self.scheduler.note("order {.int} {} at {}", status.order_id, status.status, len(self.log))
        if epoch == self.stream_epoch:
            self.stream_sequence = max(self.stream_sequence, sequence)
        return len(self.log)

    def find_missing(self, asked: Iterable[OrderVersion]) -> tuple[OrderVersion, ...]:
        return tuple(each for each in asked if (each.order_id.int, each.version) not in self.logged)


class Follower:
    """A student's device: it comes back with the last position that it saw, and is shown what is above."""

    __slots__ = ("home", "seen", "shown", "student_id")

    def __init__(self, student_id: str) -> None:
        self.student_id = student_id
        self.seen = 0
        self.shown: list[tuple[int, Status]] = []
        self.home: NotificationReplica | None = None

    def show(self, position: int, status: Status) -> None:
        self.seen = position
        self.shown.append((position, status))


class NotificationReplica(Replica):
    """`pushed` is the last position that this process has pushed; None before it knows where the log stands.

    `lately` remembers which versions of an order are logged, and spares looking at them.
    """

    __slots__ = ("bus", "followers", "lately", "pushed", "reading", "tables", "taken")

    def __init__(self, scheduler: Scheduler, name: str, *, tables: NotificationTables, bus: Bus) -> None:
        super().__init__(scheduler, name)
        self.tables = tables
        self.bus = bus
        self.followers: list[Follower] = []
        self.lately: dict[int, int] = {}
        self.pushed: int | None = None
        self.reading: Reading | None = None
        self.taken = 0

    def forget(self) -> None:
        super().forget()
        self._end_streams()
        self.pushed = self.reading = None

    def hear(self, request: Request) -> None:
        """Who does not read, or reads a stream that is gone, cannot say what is missing."""
        asked: AskKnown = request.question
        missing = self.tables.find_missing(asked.items)
        is_behind = bool(missing) and self.reading is None
        request.reply(KnownAnswered(behind=True) if is_behind else KnownAnswered(missing=missing))

    def read(self) -> bool:
        """Record, or the beginning of it."""
        stream, reading = self.bus.notification, self.reading
        if reading is None or reading.epoch != stream.epoch:
            return self.run_alone("record", self._begin)
        return self.taken < len(stream.messages) and self.run_alone("record", self._take)

    def _begin(self) -> Steps:
        self.reading = None
        before = yield Commit("record reads where it was", self.tables.mark)
        if before is LOST:
            return
        stream = self.bus.notification
        reading = Reading(stream.epoch, stream.messages)
        begun = yield Commit(
            "record looks where to go on",
            self.tables.begin,
            before,
            str(reading.epoch),
            len(reading.messages),
        )
        if begun is LOST:
            return
        self.taken, position = begun
        self.reading = reading
        self.lately = {}
        self._push(position)

    def catch_up(self) -> bool:
        """What another replica has logged, and no message brings here any more."""
        is_quiet = self.reading is not None and self.taken == len(self.reading.messages)
        if not is_quiet or self.pushed is None or self.pushed >= len(self.tables.log):
            return False
        return self.run_alone("record", self._catch_up)

    def _catch_up(self) -> Steps:
        mark = yield Commit("looks where the log stands", self.tables.mark)
        if mark is not LOST:
            self._push(mark.position)

    def _take(self) -> Steps:
        """One commit for the batch, tried until it is known to be done; then the push."""
        reading = self.reading
        if reading is None:
            return
        last = len(reading.messages)
        if not self.scheduler.is_calm:
            last -= int(self.scheduler.dice() * (last - self.taken))
        messages = reading.messages[self.taken : last]
        yield from self._keep_unreadable(messages)
        statuses = self._statuses(messages)
        position = LOST
        while position is LOST:
            position = yield Commit("record", self.tables.record, statuses, str(reading.epoch), last)
        self.taken = last
        for status in statuses:
            place = status.order_id.int
            self.lately[place] = self.lately.get(place, 0) | 1 << status.version
        self._push(position)

    def _keep_unreadable(self, messages: list[Message]) -> Steps:
        broken = [each for each in messages if any(map(is_unreadable, each.items))]
        while broken:
            kept = yield Commit("keeps dead letters", self.tables.dead_letters.add, broken)
            broken = broken if kept is LOST else []

    def _statuses(self, messages: Iterable[Message]) -> list[Status]:
        """Each order's status once, in the order in which they came."""
        found: dict[tuple[int, int], Status] = {}
        for event in (item for message in messages for item in readable(message, self.scheduler)):
            for status in statuses_of(event, logged=self.lately.get(event.order_id.int, 0)):
                found.setdefault((status.order_id.int, status.version), status)
        return list(found.values())

    def _push(self, position: int) -> None:
        """All above the last position that was pushed, up to this one, from the log.

        Who came before this process knew where the log stands may have missed something, and comes again.
        """
        if self.pushed is None:
            self._end_streams()
            self.pushed = position
        for number in range(self.pushed + 1, position + 1):
            status = self.tables.log[number - 1]
            for follower in self.followers:
                if follower.student_id == status.student_id and number > follower.seen:
                    follower.show(number, status)
            self._cut_some()
        self.pushed = max(self.pushed, position)

    def _end_streams(self) -> None:
        for follower in self.followers:
            follower.home = None
        self.followers.clear()

    def _cut_some(self) -> None:
        scheduler = self.scheduler
        if not scheduler.is_calm and self.followers and scheduler.happens(scheduler.weather.cut):
            follower = self.followers.pop()
            follower.home = None
            scheduler.tell(self, "the stream of {} is cut at {}", follower.student_id, follower.seen)

    def welcome(self, follower: Follower) -> None:
        """Show what the student has not seen, then what happens."""
        newest = self.pushed
        if newest is None or follower.seen > newest:
            newest = len(self.tables.log)
        for number in range(follower.seen + 1, newest + 1):
            status = self.tables.log[number - 1]
            if status.student_id == follower.student_id:
                follower.show(number, status)
        follower.seen = max(follower.seen, newest)
        follower.home = self
        self.followers.append(follower)
