"""Every status of an order is logged once, under a position that only grows; students see them in that order.

An event may repeat, overtake another or replace several that were lost: it carries the statuses before its own, and
the log adds those that it lacks, in version order.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from re import ASCII
from re import compile as compile_pattern
from uuid import UUID

import msgspec

from cafeteria.chassis.runtime.cursors import UnknownCursor
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.values import (
    ENDED_STATUSES,
    STATUS_VERSIONS,
    OrderStatus,
    Pickup,
    RejectionReason,
    StatusTime,
)
from cafeteria.notification.errors import ImpossibleEvent

LIVE_FOR = timedelta(minutes=30)
"""A new stream shows an order until this long after its last status, and an open order always."""

CLOSED_STATUSES = ENDED_STATUSES | {OrderStatus.READY}
"""The statuses after which the services do nothing more by themselves: people collect. Any other order is open."""

UNSERVED_STATUSES = frozenset({OrderStatus.REJECTED, OrderStatus.CANCELLED})
"""The statuses of an order that ends without a meal; they alone have a reason."""

FIRST_PICKUP_VERSION = STATUS_VERSIONS[OrderStatus.IN_KITCHEN]
"""A student learns number and code once a cook has begun."""

MAX_POSITION = 2**63 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_STUDENT_ID = compile_pattern(r"[A-Za-z0-9-]{1,32}", ASCII)
_CURSOR = compile_pattern(r"[0-9]{1,18}", ASCII)  # below MAX_POSITION, whatever the digits
CURSOR_PATTERN = rf"^{_CURSOR.pattern}(?![\s\S])"
_EVENT_ID = compile_pattern(r"([0-9]{1,19})-([0-9]{1,19})", ASCII)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one order, from an event."""

    order_id: UUID
    student_id: str
    status: OrderStatus
    version: int
    at: datetime
    reason: RejectionReason | None = None
    pickup: Pickup | None = None


class LogPlace(msgspec.Struct, frozen=True):
    """A row of the log, identified by its position and its time of logging in microseconds since 1970.

    A log that is restored from a backup assigns positions a second time, but never again at the same microsecond: so a
    client's last event id identifies one row of one log, or none.
    """

    position: int
    logged_us: int

    @property
    def event_id(self) -> bytes:
        """The `id:` field of the row's event; `0` before the first row."""
        return b"%d-%d" % (self.position, self.logged_us) if self.position else b"0"


BEGINNING = LogPlace(0, 0)
"""The place before the first row."""


class LoggedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A status in the log. `is_delivered` is True once it was written to a stream."""

    position: int
    logged_at: datetime
    order_id: UUID
    student_id: str
    status: OrderStatus
    version: int
    at: datetime
    reason: RejectionReason | None
    pickup: Pickup | None
    is_delivered: bool = False


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """A student who sees their own statuses: of `order_id` alone, or of all their orders."""

    student_id: str
    order_id: UUID | None = None


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A high-water mark: the log's last position, and the last sequence that it read of which stream."""

    position: int
    stream_epoch: str
    stream_sequence: int


class ReplayWindow(msgspec.Struct, kw_only=True):
    """The logged statuses that a new stream shows before it is live: positions above `after`, up to and with `upto`.

    With `live_since` it holds only live orders: open ones, and those with a status entered after that time.
    `end` is the place of `upto` once the window is read; None if the log has no such row.
    """

    viewer: Viewer
    after: int
    upto: int
    live_since: datetime | None
    end: LogPlace | None

    @classmethod
    def open(cls, viewer: Viewer, *, seen: LogPlace | None, newest: int, now: datetime) -> "ReplayWindow":
        """Return the window after `seen`, up to position `newest`.

        Without `seen` the client connects for the first time: the window holds live orders, or all of a single order.
        """
        is_first = seen is None and viewer.order_id is None
        start = seen or BEGINNING
        return cls(
            viewer=viewer,
            after=start.position,
            upto=max(start.position, newest),
            live_since=now - LIVE_FOR if is_first else None,
            end=start,
        )

    @property
    def is_read(self) -> bool:
        return self.after >= self.upto

    def advance(self, after: int) -> None:
        self.after = after

    def extend(self, upto: int) -> None:
        """Add all statuses, of live orders or not, that were logged since the window was opened."""
        self.upto, self.live_since = upto, None


def statuses_of(event: OrderStatusChanged, *, logged: int = 0) -> list[Status]:
    """Return the event's own status and the earlier ones in it, by version. Raises ImpossibleEvent.

    `logged` has a bit for each version that is certainly in the log: earlier statuses with these versions are left out.
    """
    if not _STUDENT_ID.fullmatch(event.student_id):
        raise ImpossibleEvent("The student id is not valid.")
    own = StatusTime(status=event.status, version=event.version, at=event.at)
    path = sorted(_checked(event.earlier, own, logged), key=lambda moment: moment.version)
    return [
        Status(
            order_id=event.order_id,
            student_id=event.student_id,
            status=moment.status,
            version=moment.version,
            at=_in_utc(moment.at),
            reason=event.reason if moment.status in UNSERVED_STATUSES else None,
            pickup=event.pickup if moment.version >= FIRST_PICKUP_VERSION else None,
        )
        for moment in path
    ]


def _checked(earlier: Iterable[StatusTime], own: StatusTime, logged: int) -> Iterable[StatusTime]:
    """Leave out statuses that a sender calls earlier and that are not: they would falsify the order's path."""
    for moment in (*earlier, own):
        if STATUS_VERSIONS[moment.status] != moment.version:
            raise ImpossibleEvent(f"{moment.status} is not version {moment.version}.")
        if moment is own or (moment.version < own.version and not logged >> moment.version & 1):
            yield moment


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ImpossibleEvent(f"The time {moment} is out of range.") from None


def sequence_to_follow(mark: Mark, *, before: Mark, epoch: str, last_sequence: int) -> int:
    """Return the sequence after which to read on: 0, the beginning, if the stream is another one or has lost its end.

    `before` is the mark from before the stream's state was requested: until `mark` was read, a replica may have read
    further than `last_sequence`.
    """
    has_lost_its_end = before.stream_epoch == epoch and last_sequence < before.stream_sequence
    return 0 if mark.stream_epoch != epoch or has_lost_its_end else mark.stream_sequence


def place_of(position: int, logged_at: datetime) -> LogPlace:
    return LogPlace(position, (logged_at - EPOCH) // timedelta(microseconds=1))


def place_from(last_event_id: str | None) -> LogPlace | None:
    """Return the place of a client's last event id; None, as if it had sent nothing, for anything else."""
    if last_event_id == "0":
        return BEGINNING
    found = _EVENT_ID.fullmatch(last_event_id or "")
    if found is None:
        return None
    place = LogPlace(int(found[1]), int(found[2]))
    return place if place.position <= MAX_POSITION else None


def position_from_cursor(cursor: str | None) -> int:
    """Return the position before which a page of the log begins. Raises UnknownCursor."""
    if cursor is None:
        return MAX_POSITION
    if not _CURSOR.fullmatch(cursor):
        raise UnknownCursor
    return int(cursor)
