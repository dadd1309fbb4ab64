"""The hub: who is shown what, who is closed, and that one reader never holds up another."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from cafeteria.contracts.values import OrderStatus
from cafeteria.notification.domain import LoggedStatus, Status, Viewer
from cafeteria.notification.views import HEARTBEAT_S, QUEUE_LIMIT, EventStream, Hub, LoggedLately

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STUDENT, OTHER = "210041101", "210041102"


class Reader:
    """A client's end: it takes what it is given, unless it is stuck."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.is_ended = False
        self.unstuck = asyncio.Event()
        self.unstuck.set()
        self.is_dropped = asyncio.Event()

    def drop(self) -> None:
        self.is_dropped.set()

    async def __call__(self, chunk: bytes, *, more: bool = True) -> None:
        await self.unstuck.wait()
        assert not self.is_ended, "nothing may follow the end"
        self.is_ended = not more
        if chunk:
            self.chunks.append(chunk)

    @property
    def positions(self) -> list[int]:
        lines = b"".join(self.chunks).split(b"\n")
        return [int(line[4:].partition(b"-")[0]) for line in lines if line.startswith(b"id: ")]

    @property
    def comments(self) -> int:
        return b"".join(self.chunks).count(b": still here\n\n")


def status(position: int, *, student_id: str = STUDENT, order: int = 1) -> LoggedStatus:
    return LoggedStatus(
        position=position,
        logged_at=NOW,
        order_id=UUID(int=order),
        student_id=student_id,
        status=OrderStatus.PENDING,
        version=1,
        at=NOW,
        reason=None,
    )


Join = Callable[..., tuple[EventStream, Reader]]


@pytest.fixture
def hub() -> Hub:
    hub = Hub()
    hub.follow(0)
    return hub


@pytest.fixture
def join(hub: Hub) -> Join:
    def joined(
        student_id: str = STUDENT, *, order: int | None = None, lives_s: float = 3600, after: int = 0
    ) -> tuple[EventStream, Reader]:
        reader = Reader()
        viewer = Viewer(student_id=student_id, order_id=order and UUID(int=order))
        stream = EventStream(
            hub, viewer, expires_at=NOW + timedelta(seconds=lives_s), write=reader, abort=reader.drop
        )
        hub.join(stream, after=after)
        return stream, reader

    return joined


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_each_student_is_shown_what_is_theirs(hub: Hub, join: Join) -> None:
    (mine, my_reader), (theirs, their_reader) = join(), join(OTHER)
    mine.go_live()
    theirs.go_live()
    hub.push([status(1), status(2, student_id=OTHER), status(3, student_id="210041103")])
    await settle()
    assert my_reader.positions == [1]
    assert their_reader.positions == [2]
    assert hub.pushed == 3


async def test_a_stream_of_one_order_is_shown_that_order_alone(hub: Hub, join: Join) -> None:
    stream, reader = join(order=2)
    stream.go_live()
    hub.push([status(1, order=1), status(2, order=2)])
    await settle()
    assert reader.positions == [2]


async def test_what_comes_during_the_backlog_is_shown_after_it(hub: Hub, join: Join) -> None:
    stream, reader = join()
    hub.push([status(1)])
    await stream.show([], tail=b"id: 0\n\n")
    hub.push([status(2)])
    stream.go_live()
    await settle()
    assert reader.positions == [0, 1, 2]


async def test_what_was_seen_elsewhere_is_not_shown_again(hub: Hub, join: Join) -> None:
    stream, reader = join(after=2)
    stream.go_live()
    hub.push([status(1), status(2), status(3)])
    await settle()
    assert reader.positions == [3]


async def test_a_slow_reader_is_closed_and_its_neighbours_are_not(hub: Hub, join: Join) -> None:
    (slow, slow_reader), (quick, quick_reader) = join(), join()
    slow.go_live()
    quick.go_live()
    slow_reader.unstuck.clear()
    for position in range(1, QUEUE_LIMIT + 3):
        hub.push([status(position)])
        await settle()
    assert slow.closed_for == "slow"
    assert quick.closed_for is None
    assert quick_reader.positions == list(range(1, QUEUE_LIMIT + 3))
    slow_reader.unstuck.set()
    await settle()
    assert slow_reader.is_ended
    assert slow_reader.positions == [1]


async def test_a_reader_that_does_not_take_the_end_loses_its_connection(hub: Hub, join: Join) -> None:
    (stuck, stuck_reader), (fine, fine_reader) = join(), join()
    stuck.go_live()
    fine.go_live()
    stuck_reader.unstuck.clear()
    hub.push([status(1)])
    await settle()
    hub.close_all()
    await asyncio.wait_for(stuck_reader.is_dropped.wait(), 5)
    assert fine_reader.is_ended
    assert not fine_reader.is_dropped.is_set()
    stuck.abandon()


async def test_a_burst_is_not_slowness(hub: Hub, join: Join) -> None:
    stream, reader = join()
    stream.go_live()
    hub.push([status(position) for position in range(1, 2 * QUEUE_LIMIT)])
    await settle()
    assert stream.closed_for is None
    assert len(reader.positions) == 2 * QUEUE_LIMIT - 1


async def test_a_stream_hears_every_fifteen_seconds_that_it_lives(hub: Hub, join: Join) -> None:
    early, early_reader = join()
    early.go_live()
    await hub.beat(now=NOW)
    late, late_reader = join()
    late.go_live()
    for second in range(1, 2 * HEARTBEAT_S):
        await hub.beat(now=NOW + timedelta(seconds=second))
        await settle()
    assert (early_reader.comments, late_reader.comments) == (2, 1)


async def test_a_stream_ends_with_its_token(hub: Hub, join: Join) -> None:
    (brief, brief_reader), (lasting, lasting_reader) = join(lives_s=2), join()
    brief.go_live()
    lasting.go_live()
    await hub.beat(now=NOW + timedelta(seconds=1))
    await settle()
    assert not brief_reader.is_ended
    await hub.beat(now=NOW + timedelta(seconds=5))
    await settle()
    assert brief_reader.is_ended
    assert not lasting_reader.is_ended


async def test_a_stop_ends_all_streams_and_those_that_come_later(hub: Hub, join: Join) -> None:
    open_one, open_reader = join()
    held, held_reader = join()
    open_one.go_live()
    hub.close_all()
    late, late_reader = join()
    late.go_live()
    await settle()
    assert open_reader.is_ended
    assert late_reader.is_ended
    assert not held_reader.is_ended, "its backlog is being written"
    held.go_live()
    await settle()
    assert held_reader.is_ended
    assert hub.is_empty


async def test_a_reader_that_left_is_forgotten(hub: Hub, join: Join) -> None:
    stream, reader = join()
    stream.go_live()
    reader.unstuck.clear()
    hub.push([status(1)])
    await settle()
    stream.abandon()
    hub.push([status(2)])
    await settle()
    assert hub.is_empty
    assert reader.chunks == []
    assert hub.take_delivered() == set()


async def test_what_streams_took_is_told_once(hub: Hub, join: Join) -> None:
    for stream, _ in (join(), join()):
        stream.go_live()
    hub.push([status(1), status(2, student_id=OTHER)])
    await settle()
    assert hub.take_delivered() == {1}
    assert hub.take_delivered() == set()


async def test_a_log_that_was_set_back_is_shown_anew(hub: Hub, join: Join) -> None:
    stream, reader = join()
    stream.go_live()
    hub.push([status(1), status(2)])
    await settle()
    hub.follow(1)
    await settle()
    assert reader.is_ended
    assert hub.pushed == 1


def test_only_the_orders_heard_of_last_are_remembered() -> None:
    lately = LoggedLately(orders_limit=10)
    for order in range(1, 12):
        lately.add([told(order, 1), told(order, 2)])
    assert lately.versions_of(UUID(int=11)) == 0b110
    assert lately.versions_of(UUID(int=1)) == 0


def told(order: int, version: int) -> Status:
    return Status(
        order_id=UUID(int=order), student_id=STUDENT, status=OrderStatus.PENDING, version=version, at=NOW
    )
