"""The hub: which stream shows which event, which one is closed, and that one client never delays another."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.contracts.values import OrderStatus
from cafeteria.notification.canteen import FEW, Canteen
from cafeteria.notification.canteen_broadcast import CanteenBroadcast
from cafeteria.notification.domain import LoggedStatus, Viewer
from cafeteria.notification.sse_events import event_of
from cafeteria.notification.sse_hub import HEARTBEAT_S, QUEUE_LIMIT, EventStream, SseHub

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STUDENT, OTHER = "210041101", "210041102"


class Client:
    """Receives what a stream writes, unless it is stuck."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.is_ended = False
        self.unstuck = asyncio.Event()
        self.unstuck.set()
        self.is_aborted = asyncio.Event()

    def abort(self) -> None:
        self.is_aborted.set()

    async def __call__(self, chunk: bytes, *, more: bool = True) -> None:
        await self.unstuck.wait()
        assert not self.is_ended, "the stream wrote after its end"
        self.is_ended = not more
        if chunk:
            self.chunks.append(chunk)

    @property
    def positions(self) -> list[int]:
        lines = b"".join(self.chunks).split(b"\n")
        return [int(line[4:].partition(b"-")[0]) for line in lines if line.startswith(b"id: ")]

    @property
    def menus(self) -> list[Any]:
        events = b"".join(self.chunks).split(b"\n\n")
        head = b"event: menu.changed\ndata: "
        return [msgspec.json.decode(event.removeprefix(head)) for event in events if event.startswith(head)]

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
        pickup=None,
        at=NOW,
        reason=None,
    )


def haleem(*, version: int, left: int) -> AvailabilityChanged:
    item = ItemAvailability(
        item_id=UUID(int=1), name="Haleem", unit_price=Decimal("110.00"), available=left, version=version
    )
    return AvailabilityChanged(complete=True, items=(item,))


AddStream = Callable[..., tuple[EventStream, Client]]


@pytest.fixture
def closing() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def canteen() -> Canteen:
    return Canteen()


@pytest.fixture
async def hub(closing: asyncio.Event, canteen: Canteen) -> AsyncIterator[SseHub]:
    async with SseHub(closing, CanteenBroadcast(canteen, clock=lambda: NOW)) as hub:
        hub.log_is_at(0)
        yield hub


@pytest.fixture
def add_stream(hub: SseHub) -> AddStream:
    def add(
        student_id: str = STUDENT,
        *,
        order: int | None = None,
        session: int = 1,
        lifetime_s: float = 3600,
        after: int = 0,
        shows_canteen: bool = False,
    ) -> tuple[EventStream, Client]:
        client = Client()
        viewer = Viewer(student_id=student_id, order_id=None if order is None else UUID(int=order))
        stream = EventStream(
            hub,
            viewer,
            session=UUID(int=session),
            expires_at=NOW + timedelta(seconds=lifetime_s),
            write=client,
            abort=client.abort,
            shows_canteen=shows_canteen,
        )
        hub.add(stream, after=after)
        return stream, client

    return add


async def run_tasks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_each_student_sees_their_own_events(hub: SseHub, add_stream: AddStream) -> None:
    (mine, my_client), (theirs, their_client) = add_stream(), add_stream(OTHER)
    mine.go_live()
    theirs.go_live()
    hub.push([status(1), status(2, student_id=OTHER), status(3, student_id="210041103")])
    await run_tasks()
    assert my_client.positions == [1]
    assert their_client.positions == [2]
    assert hub.pushed == 3


async def test_a_stream_of_one_order_shows_that_order_alone(hub: SseHub, add_stream: AddStream) -> None:
    stream, client = add_stream(order=2)
    stream.go_live()
    hub.push([status(1, order=1), status(2, order=2)])
    await run_tasks()
    assert client.positions == [2]


async def test_events_during_the_replay_are_shown_after_it(hub: SseHub, add_stream: AddStream) -> None:
    stream, client = add_stream()
    hub.push([status(1)])
    await stream.replay([], tail=b"id: 0\n\n")
    hub.push([status(2)])
    stream.go_live()
    await run_tasks()
    assert client.positions == [0, 1, 2]


async def test_events_in_the_replay_window_are_not_shown_again(hub: SseHub, add_stream: AddStream) -> None:
    stream, client = add_stream(after=2)
    stream.go_live()
    hub.push([status(1), status(2), status(3)])
    await run_tasks()
    assert client.positions == [3]


async def test_a_slow_client_is_closed_and_the_others_are_not(hub: SseHub, add_stream: AddStream) -> None:
    (slow, slow_client), (quick, quick_client) = add_stream(), add_stream()
    slow.go_live()
    quick.go_live()
    slow_client.unstuck.clear()
    for position in range(1, QUEUE_LIMIT + 3):
        hub.push([status(position)])
        await run_tasks()
    assert slow.closed_for == "slow"
    assert quick.closed_for is None
    assert quick_client.positions == list(range(1, QUEUE_LIMIT + 3))
    slow_client.unstuck.set()
    await run_tasks()
    assert slow_client.is_ended
    assert slow_client.positions == [1]


async def test_a_stuck_client_outlasts_the_canteen_and_reads_its_newest_state(
    hub: SseHub, canteen: Canteen, add_stream: AddStream
) -> None:
    (stuck, stuck_client), (quick, quick_client) = (add_stream(shows_canteen=True) for _ in range(2))
    stuck.go_live()
    quick.go_live()
    stuck_client.unstuck.clear()
    turns = 4 * QUEUE_LIMIT
    for turn in range(turns):
        canteen.hear_availability(haleem(version=turn, left=turn % FEW), at_s=float(turn))
        hub.canteen.turn(float(turn))
        await run_tasks()
    assert len(quick_client.chunks) == turns
    assert stuck.closed_for is None
    stuck_client.unstuck.set()
    await run_tasks()
    hub.canteen.turn(float(turns))
    await run_tasks()
    assert [menu["items"][0]["available"] for menu in stuck_client.menus] == [0, (turns - 1) % FEW]
    assert stuck_client.menus[-1] == quick_client.menus[-1]


async def test_the_connection_of_a_client_that_does_not_read_the_end_is_aborted(
    hub: SseHub, closing: asyncio.Event, add_stream: AddStream
) -> None:
    (stuck, stuck_client), (fine, fine_client) = add_stream(), add_stream()
    stuck.go_live()
    fine.go_live()
    stuck_client.unstuck.clear()
    hub.push([status(1)])
    await run_tasks()
    closing.set()
    await asyncio.wait_for(stuck_client.is_aborted.wait(), 5)
    assert fine_client.is_ended
    assert not fine_client.is_aborted.is_set()
    stuck.abandon()


async def test_a_burst_does_not_make_a_client_slow(hub: SseHub, add_stream: AddStream) -> None:
    stream, client = add_stream()
    stream.go_live()
    hub.push([status(position) for position in range(1, 2 * QUEUE_LIMIT)])
    await run_tasks()
    assert stream.closed_for is None
    assert len(client.positions) == 2 * QUEUE_LIMIT - 1


async def test_a_stream_gets_a_heartbeat_every_fifteen_seconds(hub: SseHub, add_stream: AddStream) -> None:
    early, early_client = add_stream()
    early.go_live()
    await hub.tick(now=NOW)
    late, late_client = add_stream()
    late.go_live()
    for second in range(1, 2 * HEARTBEAT_S):
        await hub.tick(now=NOW + timedelta(seconds=second))
        await run_tasks()
    assert (early_client.comments, late_client.comments) == (2, 1)


async def test_a_stream_ends_with_its_token(hub: SseHub, add_stream: AddStream) -> None:
    (brief, brief_client), (lasting, lasting_client) = add_stream(lifetime_s=2), add_stream()
    brief.go_live()
    lasting.go_live()
    await hub.tick(now=NOW + timedelta(seconds=1))
    await run_tasks()
    assert not brief_client.is_ended
    await hub.tick(now=NOW + timedelta(seconds=5))
    await run_tasks()
    assert brief_client.is_ended
    assert not lasting_client.is_ended


async def test_a_stop_ends_all_streams_and_those_that_are_added_later(
    hub: SseHub, closing: asyncio.Event, add_stream: AddStream
) -> None:
    open_one, open_client = add_stream()
    held, held_client = add_stream()
    open_one.go_live()
    closing.set()
    late, late_client = add_stream()
    late.go_live()
    await run_tasks()
    assert open_client.is_ended
    assert late_client.is_ended
    assert not held_client.is_ended, "its replay window is being written"
    held.go_live()
    await run_tasks()
    assert held_client.is_ended
    assert hub.is_empty


async def test_a_disconnected_client_gets_no_event_and_marks_none_delivered(
    hub: SseHub, add_stream: AddStream
) -> None:
    stream, client = add_stream()
    stream.go_live()
    client.unstuck.clear()
    hub.push([status(1)])
    await run_tasks()
    stream.abandon()
    hub.push([status(2)])
    await run_tasks()
    assert hub.is_empty
    assert client.chunks == []
    assert hub.pop_delivered() == set()


async def test_a_position_is_delivered_once_for_all_streams(hub: SseHub, add_stream: AddStream) -> None:
    for stream, _ in (add_stream(), add_stream()):
        stream.go_live()
    hub.push([status(1), status(2, student_id=OTHER)])
    await run_tasks()
    assert hub.pop_delivered() == {1}
    assert hub.pop_delivered() == set()


async def test_a_log_that_was_set_back_closes_the_streams(hub: SseHub, add_stream: AddStream) -> None:
    stream, client = add_stream()
    stream.go_live()
    hub.push([status(1), status(2)])
    await run_tasks()
    hub.log_is_at(1)
    await run_tasks()
    assert client.is_ended
    assert hub.pushed == 1


async def test_the_streams_of_an_ended_session_close_and_no_others(
    hub: SseHub, add_stream: AddStream
) -> None:
    mine = [add_stream(session=1), add_stream(session=1, order=2)]
    lasting, lasting_client = add_stream(session=2)
    for stream, _ in (*mine, (lasting, lasting_client)):
        stream.go_live()
    hub.end_sessions([UUID(int=3), UUID(int=1)])
    hub.push([status(1)])
    await run_tasks()
    assert all(client.is_ended and not client.positions for _, client in mine)
    assert lasting_client.positions == [1]
    hub.end_sessions([UUID(int=1)])  # as identity repeats it
    assert [stream.closed_for for stream, _ in mine] == ["session ended"] * 2


async def test_a_session_ends_while_its_stream_shows_the_replay_window(
    hub: SseHub,
) -> None:
    client = Client()
    viewer = Viewer(student_id=STUDENT, order_id=None)
    stream = EventStream(hub, viewer, session=UUID(int=1), expires_at=NOW, write=client, abort=client.abort)
    hub.end_sessions([UUID(int=1)])
    await stream.replay([event_of(status(1))])
    hub.add(stream, after=0)
    hub.push([status(2)])
    stream.go_live()
    await run_tasks()
    assert client.is_ended
    assert not client.chunks
    assert hub.is_empty
