"""The simulated notification service: record, and the event streams of students. The rules for events and for resuming
a stream are `cafeteria.notification.domain` itself; the log's statement copies `cafeteria.notification.repository`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus
from cafeteria.contracts.values import OrderVersion
from cafeteria.notification.domain import Mark, Status, sequence_to_follow, statuses_of
from cafeteria.protocol_model.bus import Bus, Message
from cafeteria.protocol_model.consumer import DeadLetters, is_unreadable, readable
from cafeteria.protocol_model.scheduler import LOST, Commit, Replica, Request, Scheduler, Steps


class Reading(NamedTuple):
    """The stream that is read: its epoch and its messages."""

    epoch: int
    messages: list[Message]


class NotificationTables:
    """All rows of notification. `log[n - 1]` is the status at position n."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.guards = scheduler.guards
        self.log: list[Status] = []
        self.logged: set[tuple[int, int]] = set()
        self.stream_epoch = ""
        self.stream_sequence = 0
        self.dead_letters = DeadLetters()

    def mark(self) -> Mark:
        """Return the log's last position, and up to which sequence of the stream it was filled."""
        return Mark(
            position=len(self.log), stream_epoch=self.stream_epoch, stream_sequence=self.stream_sequence
        )

    def begin(self, before: Mark, epoch: str, last_sequence: int) -> tuple[int, int]:
        """Return the sequence after which to resume the stream, and the log's last position."""
        mark = self.mark()
        after = sequence_to_follow(mark, before=before, epoch=epoch, last_sequence=last_sequence)
        self.stream_epoch, self.stream_sequence = epoch, after
        return after, mark.position

    def record(self, statuses: Iterable[Status], epoch: str, sequence: int) -> int:
        """Record: log the statuses that the log lacks, and return its last position."""
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
    """A student's device: it reconnects with the last position that it saw, and receives what is above it."""

    def __init__(self, student_id: str) -> None:
        self.student_id = student_id
        self.seen = 0
        self.shown: list[tuple[int, Status]] = []
        self.home: NotificationReplica | None = None

    def show(self, position: int, status: Status) -> None:
        self.seen = position
        self.shown.append((position, status))


class NotificationReplica(Replica):
    """One process. `pushed` is the last position that it has pushed; None before it knows the log's last position.

    `lately` caches which versions of an order are logged, so that they are not read again.
    """

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

    def handle(self, request: Request) -> None:
        """Answer what is missing; while the replica reads no stream, answer that it is behind."""
        asked: CheckDelivery = request.question
        missing = self.tables.find_missing(asked.items)
        is_behind = bool(missing) and self.reading is None
        request.reply(DeliveryStatus(behind=True) if is_behind else DeliveryStatus(missing=missing))

    def read(self) -> bool:
        """Record, or begin to read when the stream is new."""
        stream, reading = self.bus.notification, self.reading
        if reading is None or reading.epoch != stream.epoch:
            return self.run_alone("record", self._begin)
        return self.taken < len(stream.messages) and self.run_alone("record", self._take)

    def _begin(self) -> Steps:
        self.reading = None
        before = yield Commit("record reads its position", self.tables.mark)
        if before is LOST:
            return
        stream = self.bus.notification
        reading = Reading(stream.epoch, stream.messages)
        begun = yield Commit(
            "record finds where to resume",
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

    def resume(self) -> bool:
        """Push what another replica has logged and no message will deliver to this one."""
        is_quiet = self.reading is not None and self.taken == len(self.reading.messages)
        if not is_quiet or self.pushed is None or self.pushed >= len(self.tables.log):
            return False
        return self.run_alone("record", self._push_logged)

    def _push_logged(self) -> Steps:
        mark = yield Commit("reads the log's position", self.tables.mark)
        if mark is not LOST:
            self._push(mark.position)

    def _take(self) -> Steps:
        """Log the batch in one commit, repeat it until its outcome is certain, then push."""
        reading = self.reading
        if reading is None:
            return
        last = len(reading.messages)
        if not self.scheduler.is_quiescing:
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
        """Return each status of each order once, in the order in which they arrived."""
        found: dict[tuple[int, int], Status] = {}
        for event in (item for message in messages for item in readable(message, self.scheduler)):
            for status in statuses_of(event, logged=self.lately.get(event.order_id.int, 0)):
                found.setdefault((status.order_id.int, status.version), status)
        return list(found.values())

    def _push(self, position: int) -> None:
        """Push from the log everything above the last pushed position, up to this one.

        A follower that connected before this process knew the log's position may have missed a status: it reconnects.
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
        if not scheduler.is_quiescing and self.followers and scheduler.happens(scheduler.fault_rates.cut):
            follower = self.followers.pop()
            follower.home = None
            scheduler.log(self, "the stream of {} is cut at {}", follower.student_id, follower.seen)

    def welcome(self, follower: Follower) -> None:
        """Show what the student has not seen, then push what follows."""
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
