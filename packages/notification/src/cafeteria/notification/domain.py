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

from cafeteria.chassis.cursors import UnknownCursor
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

_STUDENT_ID = compile_pattern(r"[A-Za-z0-9-]{1,32}", ASCII)
_POSITION = compile_pattern(r"[0-9]{1,19}", ASCII)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one order, as an event told it."""

    order_id: UUID
    student_id: str
    status: OrderStatus
    version: int
    at: datetime
    reason: RejectionReason | None = None


class LoggedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A status in the log. `is_delivered`: some stream has taken it."""

    position: int
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
    """

    viewer: Viewer
    after: int
    upto: int
    live_since: datetime | None

    @classmethod
    def open(cls, viewer: Viewer, *, seen: int | None, upto: int, now: datetime) -> "Backlog":
        """`seen` is None for a client that comes for the first time. Of a single order all is shown."""
        is_first = seen is None and viewer.order_id is None
        return cls(viewer=viewer, after=seen or 0, upto=upto, live_since=now - LIVE_FOR if is_first else None)

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


def position_from(last_event_id: str | None) -> int | None:
    """The position that a client has seen; None, as if it had said nothing, for what is no position."""
    if last_event_id is None or not _POSITION.fullmatch(last_event_id):
        return None
    return int(last_event_id)


def position_from_cursor(cursor: str | None) -> int:
    """Raises UnknownCursor."""
    if cursor is None:
        return MAX_POSITION
    if not _POSITION.fullmatch(cursor) or int(cursor) > MAX_POSITION:
        raise UnknownCursor
    return int(cursor)
