"""The statuses in an event, the position to read a stream from, and the meaning of a client's event id."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest

from cafeteria.chassis.runtime.cursors import UnknownCursor
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.values import STATUS_VERSIONS, OrderStatus, RejectionReason, StatusTime
from cafeteria.notification.domain import (
    BEGINNING,
    LIVE_FOR,
    MAX_POSITION,
    LogPlace,
    Mark,
    ReplayWindow,
    Viewer,
    place_from,
    place_of,
    position_from_cursor,
    sequence_to_follow,
    statuses_of,
)
from cafeteria.notification.errors import ImpossibleEvent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PENDING, STOCK_VERIFIED, REJECTED, IN_KITCHEN, READY = (
    OrderStatus.PENDING,
    OrderStatus.STOCK_VERIFIED,
    OrderStatus.REJECTED,
    OrderStatus.IN_KITCHEN,
    OrderStatus.READY,
)


def moment(status: OrderStatus, *, at: datetime = NOON) -> StatusTime:
    return StatusTime(status=status, version=STATUS_VERSIONS[status], at=at)


def event(
    status: OrderStatus,
    *earlier: StatusTime,
    student_id: str = "210041101",
    version: int | None = None,
    at: datetime = NOON,
    reason: RejectionReason | None = None,
) -> OrderStatusChanged:
    return OrderStatusChanged(
        order_id=UUID(int=1),
        student_id=student_id,
        status=status,
        version=version or STATUS_VERSIONS[status],
        at=at,
        earlier=earlier,
        reason=reason,
    )


def test_an_event_contains_its_earlier_statuses_in_version_order() -> None:
    changed = event(READY, moment(IN_KITCHEN), moment(PENDING), moment(STOCK_VERIFIED))
    assert [status.version for status in statuses_of(changed)] == [1, 2, 3, 4]


def test_statuses_that_are_wrongly_called_earlier_are_left_out() -> None:
    changed = event(IN_KITCHEN, moment(PENDING), moment(IN_KITCHEN), moment(READY))
    assert [status.status for status in statuses_of(changed)] == [PENDING, IN_KITCHEN]


def test_a_reason_belongs_to_the_rejection_alone() -> None:
    changed = event(REJECTED, moment(PENDING), reason=RejectionReason.OUT_OF_STOCK)
    assert [status.reason for status in statuses_of(changed)] == [None, RejectionReason.OUT_OF_STOCK]


def test_times_are_kept_in_utc() -> None:
    dhaka = timezone(timedelta(hours=6))
    (status,) = statuses_of(event(PENDING, at=NOON.astimezone(dhaka)))
    assert status.at == NOON
    assert status.at.tzinfo is UTC


@pytest.mark.parametrize(
    "changed",
    [
        event(READY, version=3),
        event(READY, StatusTime(status=PENDING, version=2, at=NOON)),
        event(READY, student_id=""),
        event(READY, student_id="x" * 33),
        event(READY, student_id="a\x00b"),
        event(READY, student_id="٢١٠"),
        event(READY, at=datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))),
    ],
)
def test_an_event_that_no_order_can_have_is_refused(changed: OrderStatusChanged) -> None:
    with pytest.raises(ImpossibleEvent):
        statuses_of(changed)


@pytest.mark.parametrize(
    ("epoch", "last_sequence", "follows"),
    [("one", 7, 7), ("one", 9, 7), ("one", 6, 0), ("two", 9, 0), ("", 0, 0)],
)
def test_another_or_shortened_stream_is_read_from_its_beginning(
    epoch: str, last_sequence: int, follows: int
) -> None:
    mark = Mark(position=3, stream_epoch="one", stream_sequence=7)
    assert sequence_to_follow(mark, before=mark, epoch=epoch, last_sequence=last_sequence) == follows


def test_a_replica_that_read_further_meanwhile_does_not_make_the_stream_seem_shorter() -> None:
    before = Mark(position=7, stream_epoch="first", stream_sequence=100)
    mark = Mark(position=9, stream_epoch="first", stream_sequence=102)
    assert sequence_to_follow(mark, before=before, epoch="first", last_sequence=101) == 102
    assert sequence_to_follow(mark, before=before, epoch="first", last_sequence=99) == 0


@pytest.mark.parametrize(
    ("last_event_id", "place"),
    [
        (None, None),
        ("", None),
        ("0", BEGINNING),
        ("17", None),
        ("17-1800000000000000", LogPlace(17, 1_800_000_000_000_000)),
        (" 17-1", None),
        ("-1", None),
        ("1_0-1", None),
        ("\u0967-1", None),
        ("9" * 19 + "-1", None),
        ("9" * 20 + "-1", None),
    ],
)
def test_an_event_id_is_a_position_and_a_moment(last_event_id: str | None, place: LogPlace | None) -> None:
    assert place_from(last_event_id) == place


def test_an_event_id_names_one_place_to_the_microsecond() -> None:
    place = place_of(17, NOON + timedelta(microseconds=1))
    assert place_from(place.event_id.decode()) == place
    assert place_from(BEGINNING.event_id.decode()) == BEGINNING
    assert place != place_of(17, NOON)


def test_a_cursor_is_a_position_that_fits_the_log() -> None:
    assert position_from_cursor(None) == MAX_POSITION
    assert position_from_cursor("17") == 17
    for wrong in ("", "x", "-1", "9" * 19):
        with pytest.raises(UnknownCursor):
            position_from_cursor(wrong)


def test_a_first_window_holds_live_orders_and_a_later_one_the_missed_statuses() -> None:
    viewer = Viewer(student_id="210041101")
    first = ReplayWindow.open(viewer, seen=None, newest=9, now=NOON)
    assert (first.after, first.live_since) == (0, NOON - LIVE_FOR)
    again = ReplayWindow.open(viewer, seen=LogPlace(4, 1), newest=9, now=NOON)
    assert (again.after, again.live_since) == (4, None)
    single = ReplayWindow.open(
        Viewer(student_id="210041101", order_id=uuid4()), seen=None, newest=9, now=NOON
    )
    assert (single.after, single.live_since) == (0, None)


def test_a_window_is_read_at_its_end_and_extends_to_all_statuses() -> None:
    window = ReplayWindow.open(Viewer(student_id="210041101"), seen=None, newest=9, now=NOON)
    window.advance(5)
    assert not window.is_read
    window.advance(9)
    assert window.is_read
    window.extend(12)
    assert not window.is_read
    assert window.live_since is None


def test_a_logged_status_is_repeated_only_by_its_own_event() -> None:
    changed = event(IN_KITCHEN, moment(PENDING), moment(STOCK_VERIFIED))
    assert [status.version for status in statuses_of(changed, logged=0b1010)] == [2, 3]
