"""Every status of an order is logged once, under a position that only grows; students see them in that order.

An event may repeat, overtake another or stand for several that were lost: it carries the states before its own,
and what the log lacks of them is taken from it, in version order.
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
    RejectionReason,
    StatusTime,
)
from cafeteria.notification.errors import ImpossibleEvent

LIVE_FOR = timedelta(minutes=30)
"""So long after its last status an order still shows on a new stream; one that waits for something shows always."""

RESTING_STATUSES = ENDED_STATUSES | {OrderStatus.READY}
"""Nothing more happens to the order by itself: people collect."""

MAX_POSITION = 2**63 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_STUDENT_ID = compile_pattern(r"[A-Za-z0-9-]{1,32}", ASCII)
_CURSOR = compile_pattern(r"[0-9]{1,18}", ASCII)  # below MAX_POSITION, whatever the digits
CURSOR_PATTERN = rf"^{_CURSOR.pattern}(?![\s\S])"
_EVENT_ID = compile_pattern(r"([0-9]{1,19})-([0-9]{1,19})", ASCII)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one order, as an event told it."""

    order_id: UUID
    student_id: str
    status: OrderStatus
    version: int
    at: datetime
    reason: RejectionReason | None = None


class LogPlace(msgspec.Struct, frozen=True):
    """A row of the log by its position and the moment, in microseconds since 1970, at which it was logged.

    A log that is restored from a backup gives positions out a second time, but no row is logged at the same
    microsecond again: so a client's last event id names one row of one log, or none.
    """

    position: int
    logged_us: int

    @property
    def event_id(self) -> bytes:
        """What a stream shows as `id:`; `0` before the first row."""
        return b"%d-%d" % (self.position, self.logged_us) if self.position else b"0"


BEGINNING = LogPlace(0, 0)
"""The place before the first row."""


class LoggedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A status in the log. `is_delivered`: some stream has taken it."""

    position: int
    logged_at: datetime
    order_id: UUID
    student_id: str
    status: OrderStatus
    version: int
    at: datetime
    reason: RejectionReason | None
    is_delivered: bool = False


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose statuses are shown, and of which order if of one only. Nobody sees those of another student."""

    student_id: str
    order_id: UUID | None = None


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How far the log has read the stream, and how far it has counted itself."""

    position: int
    stream_epoch: str
    stream_sequence: int


class Backlog(msgspec.Struct, kw_only=True):
    """What a stream has to show before it is live: positions above `after` up to and with `upto`.

    With `live_since` only those of live orders: open ones, and those with a status entered after that moment.
    `end` is the place of `upto` once everything is read; None if the log has no such row.
    """

    viewer: Viewer
    after: int
    upto: int
    live_since: datetime | None
    end: LogPlace | None

    @classmethod
    def open(cls, viewer: Viewer, *, seen: LogPlace | None, newest: int, now: datetime) -> "Backlog":
        """`seen` is None for a client that comes for the first time. Of a single order all is shown."""
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
        """What was logged since the opening is shown whole."""
        self.upto, self.live_since = upto, None


def statuses_of(event: OrderStatusChanged, *, logged: int = 0) -> list[Status]:
    """The event's own status and those before it, by version; raises ImpossibleEvent for what cannot be.

    Earlier ones may be left out that are logged for sure: `logged` has a bit for each version.
    """
    if not _STUDENT_ID.fullmatch(event.student_id):
        raise ImpossibleEvent("The student id is none.")
    own = StatusTime(status=event.status, version=event.version, at=event.at)
    path = sorted(_checked(event.earlier, own, logged), key=lambda moment: moment.version)
    return [
        Status(
            order_id=event.order_id,
            student_id=event.student_id,
            status=moment.status,
            version=moment.version,
            at=_in_utc(moment.at),
            reason=event.reason if moment.status is OrderStatus.REJECTED else None,
        )
        for moment in path
    ]


def _checked(earlier: Iterable[StatusTime], own: StatusTime, logged: int) -> Iterable[StatusTime]:
    """What a sender calls earlier and is not would show an order's path wrongly: it is left out."""
    for moment in (*earlier, own):
        if STATUS_VERSIONS[moment.status] != moment.version:
            raise ImpossibleEvent(f"{moment.status} is not version {moment.version}.")
        if moment is own or (moment.version < own.version and not logged >> moment.version & 1):
            yield moment


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ImpossibleEvent(f"No clock shows {moment}.") from None


def sequence_to_follow(mark: Mark, *, before: Mark, epoch: str, last_sequence: int) -> int:
    """Where to go on in a stream: 0, its beginning, when it is not the one that was read, or has lost its end.

    `before` is the mark from before the look at the stream: by `mark` a replica may have read further than was seen.
    """
    has_lost_its_end = before.stream_epoch == epoch and last_sequence < before.stream_sequence
    return 0 if mark.stream_epoch != epoch or has_lost_its_end else mark.stream_sequence


def place_of(position: int, logged_at: datetime) -> LogPlace:
    return LogPlace(position, (logged_at - EPOCH) // timedelta(microseconds=1))


def place_from(last_event_id: str | None) -> LogPlace | None:
    """The place that a client has seen; None, as if it had sent nothing, for what is no event id."""
    if last_event_id == "0":
        return BEGINNING
    found = _EVENT_ID.fullmatch(last_event_id or "")
    if found is None:
        return None
    place = LogPlace(int(found[1]), int(found[2]))
    return place if place.position <= MAX_POSITION else None


def position_from_cursor(cursor: str | None) -> int:
    """Raises UnknownCursor."""
    if cursor is None:
        return MAX_POSITION
    if not _CURSOR.fullmatch(cursor):
        raise UnknownCursor
    return int(cursor)
