"""An open stream shows every status once and in order, whatever fails meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cafeteria.contracts.values import OrderStatus
from cafeteria.notification.domain import place_of
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import MakeOrder, Notification, Watcher


PATH = (OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED, OrderStatus.IN_KITCHEN, OrderStatus.READY)
PENDING, STOCK_VERIFIED, IN_KITCHEN, READY = PATH
OTHER_STUDENT = "210041102"


async def test_a_student_sees_every_status_of_an_order(
    notification: Notification, make_order: MakeOrder
) -> None:
    order = make_order()
    async with notification.watch() as watcher:
        assert watcher.response.headers["content-type"].startswith("text/event-stream")
        assert watcher.response.headers["cache-control"] == "no-store"
        assert watcher.response.headers["x-accel-buffering"] == "no"
        for status in PATH:
            event = order.enters(status)
            await notification.publish(event)
            shown = await until(lambda: watcher.events and watcher.events[-1])
        await until(lambda: len(watcher.events) == 4)
        assert watcher.statuses(order.id) == list(PATH)
        assert watcher.retry == "1000"
        shown = watcher.events[-1].data
        assert datetime.fromisoformat(shown.pop("at")) == event.at
        assert shown == {"order_id": str(order.id), "status": "READY", "version": 4, "reason": None}


async def test_ten_reconnects_during_an_order_show_each_status_once_and_in_order(
    notification: Notification, make_order: MakeOrder
) -> None:
    orders = [make_order() for _ in range(3)]
    events = [order.enters(status) for status in PATH for order in orders]
    seen: list[tuple[Any, str]] = []
    last_event_id = None
    for turn in range(10):
        end = len(events) if turn == 9 else turn + 1
        async with notification.watch(last_event_id=last_event_id) as watcher:
            await notification.publish(*events[turn:end])
            if turn % 2:  # every other time the client disconnects before it has seen the events
                await until(partial(has_shown, watcher, end - len(seen)))
        seen.extend((event.order_id, event.status) for event in watcher.events)
        last_event_id = watcher.last_id or last_event_id
    assert seen == [(event.order_id, event.status) for event in events]


async def test_clients_of_two_replicas_see_the_same(
    two_replicas: Notification, make_order: MakeOrder
) -> None:
    orders = [make_order() for _ in range(20)]
    async with two_replicas.watch(replica=0) as first, two_replicas.watch(replica=1) as second:
        for status in PATH:
            await two_replicas.publish(*(order.enters(status) for order in orders))
        await until(lambda: len(first.events) >= 80 and len(second.events) >= 80)
        assert [event.id for event in first.events] == [event.id for event in second.events]
        assert first.events == second.events
        for order in orders:
            assert first.statuses(order.id) == list(PATH)


async def test_replicas_that_log_at_the_same_time_agree_on_every_position(
    two_replicas: Notification, make_order: MakeOrder
) -> None:
    orders = [make_order() for _ in range(250)]
    async with two_replicas.watch(replica=0) as first, two_replicas.watch(replica=1) as second:
        for status in PATH:
            await two_replicas.publish_together([order.enters(status) for order in orders])
        await until(lambda: len(first.events) >= 1_000 and len(second.events) >= 1_000)
        assert [event.position for event in first.events] == list(range(1, 1_001))
        assert first.events == second.events
        for order in orders:
            assert first.statuses(order.id) == list(PATH)


async def test_a_client_goes_on_at_the_other_replica(
    two_replicas: Notification, make_order: MakeOrder
) -> None:
    order = make_order()
    last_event_id, seen = None, []
    for turn, status in enumerate(PATH):
        await two_replicas.publish(order.enters(status))
        async with two_replicas.watch(replica=turn % 2, last_event_id=last_event_id) as watcher:
            await until(lambda: watcher.events)
            seen += watcher.statuses()
            last_event_id = watcher.last_id
    assert seen == list(PATH)


async def test_after_a_lost_stream_no_status_is_missed_or_repeated(
    notification: Notification, make_order: MakeOrder
) -> None:
    order = make_order()
    async with notification.watch() as watcher:
        await notification.publish(order.enters(PENDING), order.enters(STOCK_VERIFIED))
        await until(lambda: len(watcher.events) == 2)
        await replace_stream(notification)
        await notification.publish(order.enters(IN_KITCHEN))
        await until(lambda: len(watcher.events) >= 3)
    async with notification.watch(last_event_id=watcher.last_id) as later:
        await replace_stream(notification)
        await notification.publish(order.enters(READY))
        await until(lambda: later.events)
        assert watcher.statuses() + later.statuses() == list(PATH)


async def test_a_status_that_only_another_replica_could_read_is_shown_here_too(
    notification: Notification, make_order: MakeOrder
) -> None:
    """The other replica logged it from a stream that was lost: no message will bring it to this replica."""
    order = make_order()
    async with notification.watch() as watcher:
        await notification.publish(order.enters(PENDING))
        await until(lambda: watcher.events)
        await notification.fill(3, student_id=order.student_id)
        await until(lambda: len(watcher.events) == 4)
        assert [event.position for event in watcher.events] == [1, 2, 3, 4]


async def test_nats_may_die_and_lose_its_store(notification: Notification, make_order: MakeOrder) -> None:
    order = make_order()
    async with notification.watch() as watcher:
        await notification.publish(order.enters(PENDING))
        await until(lambda: watcher.events)
        await notification.servers.wipe_nats()
        await until(lambda: notification.gateway.is_connected and notification.kitchen.is_connected)
        order.enters(STOCK_VERIFIED)  # lost with the store; the next event repeats it
        await notification.publish(order.enters(IN_KITCHEN))
        await until(lambda: len(watcher.events) >= 3)
        assert watcher.statuses() == [PENDING, STOCK_VERIFIED, IN_KITCHEN]


async def test_an_event_that_overtakes_others_brings_their_statuses(
    notification: Notification, make_order: MakeOrder
) -> None:
    order = make_order()
    pending, verified, cooking = (order.enters(status) for status in PATH[:3])
    async with notification.watch() as watcher:
        await notification.publish(pending, cooking, verified, order.enters(READY))
        await until(lambda: len(watcher.events) >= 4)
        assert watcher.statuses() == list(PATH)
    assert await notification.logged(order.id) == list(PATH)


async def test_events_that_are_published_twice_are_shown_once(
    notification: Notification, make_order: MakeOrder
) -> None:
    first, second = make_order(), make_order()
    events = [first.enters(status) for status in PATH]
    async with notification.watch() as watcher:
        await notification.publish(*events, *events)
        await notification.publish(second.enters(PENDING))
        await until(lambda: watcher.statuses(second.id))
        assert watcher.statuses(first.id) == list(PATH)


async def test_a_student_sees_no_order_of_another_student(
    notification: Notification, make_order: MakeOrder
) -> None:
    own, others = make_order(), make_order(OTHER_STUDENT)
    async with (
        notification.watch() as watcher,
        notification.watch(f"/v1/orders/{others.id}/events") as outsider,
        notification.watch(student_id=OTHER_STUDENT) as other,
    ):
        await notification.publish(others.enters(PENDING), own.enters(PENDING))
        await until(lambda: watcher.events and other.events)
        assert {event.order_id for event in watcher.events} == {own.id}
        assert {event.order_id for event in other.events} == {others.id}
        assert outsider.events == []
    async with notification.watch(f"/v1/orders/{others.id}/events", last_event_id="0") as outsider:
        await notification.publish(own.enters(STOCK_VERIFIED))
        await until(lambda: outsider.last_id)
        assert outsider.events == []


async def test_a_stream_of_one_order_waits_for_it_and_shows_no_other(
    notification: Notification, make_order: MakeOrder
) -> None:
    order, other = make_order(), make_order()
    async with notification.watch(f"/v1/orders/{order.id}/events") as watcher:
        await until(lambda: watcher.last_id)
        await notification.publish(other.enters(PENDING), order.enters(PENDING), order.enters(STOCK_VERIFIED))
        await until(lambda: len(watcher.events) >= 2)
        assert watcher.statuses() == [PENDING, STOCK_VERIFIED]
        assert {event.order_id for event in watcher.events} == {order.id}


async def test_a_client_gets_an_event_id_even_without_events(
    notification: Notification, make_order: MakeOrder
) -> None:
    order = make_order()
    async with notification.watch(student_id=OTHER_STUDENT) as witness:
        await notification.publish(make_order(OTHER_STUDENT).enters(PENDING))
        await until(lambda: witness.events)
    async with notification.watch() as watcher:
        await until(lambda: (watcher.last_id or "").startswith("1-"))
        assert watcher.events == []
    await notification.publish(order.enters(PENDING))
    async with notification.watch(last_event_id=watcher.last_id) as later:
        await until(lambda: later.events)


async def test_a_new_stream_begins_with_the_live_orders(
    notification: Notification, make_order: MakeOrder
) -> None:
    hours_ago = datetime.now(UTC) - timedelta(hours=3)
    done, waiting, fresh = make_order(began=hours_ago), make_order(began=hours_ago), make_order()
    events = [
        *(done.enters(status) for status in PATH),
        *(waiting.enters(status) for status in PATH[:3]),
        *(fresh.enters(status) for status in PATH),
    ]
    async with notification.watch() as witness:
        await notification.publish(*events)
        await until(lambda: len(witness.events) == 11)
    await notification.database.execute("UPDATE notification.notifications SET sent_at = status_at")
    async with notification.watch() as watcher:
        await until(lambda: len(watcher.events) >= 7)
        assert watcher.statuses(waiting.id) == list(PATH[:3])
        assert watcher.statuses(fresh.id) == list(PATH)
        assert watcher.statuses(done.id) == []
        positions = [event.position for event in watcher.events]
        assert positions == sorted(positions)
    async with notification.watch(last_event_id="0") as resumed:
        await until(lambda: len(resumed.events) >= 11)
    async with notification.watch(f"/v1/orders/{done.id}/events") as single:
        await until(lambda: len(single.events) >= 4)


@pytest.mark.parametrize(
    "last_event_id", ["", "soon", "-1", "1.5", "1", "1-1", "99999-1", "9" * 19 + "-1", "9" * 30]
)
async def test_an_id_that_was_never_assigned_counts_as_none(
    notification: Notification, make_order: MakeOrder, last_event_id: str
) -> None:
    order = make_order()
    async with notification.watch() as witness:
        await notification.publish(order.enters(PENDING))
        await until(lambda: witness.events)
    async with notification.watch(last_event_id=last_event_id) as watcher:
        await until(lambda: watcher.events)
        assert watcher.statuses() == [PENDING]


async def test_a_long_replay_window_is_shown_whole_and_in_order(
    notification: Notification, make_order: MakeOrder
) -> None:
    await notification.fill(2_499, student_id="210041101")
    logged_at = await notification.database.fetchval(
        "SELECT sent_at FROM notification.notifications WHERE position = 7"
    )
    async with notification.watch(last_event_id=place_of(7, logged_at).event_id.decode()) as watcher:
        await notification.publish(make_order().enters(PENDING))
        await until(lambda: len(watcher.events) >= 2_493)
        assert [event.position for event in watcher.events] == list(range(8, 2_501))
    async with notification.watch() as first:
        await until(lambda: len(first.events) >= 2_500)
        assert [event.position for event in first.events] == list(range(1, 2_501))


async def test_streams_need_a_signed_in_student(notification: Notification) -> None:
    async with httpx.AsyncClient(base_url=notification.urls[0]) as web:
        for path in ("/v1/events", "/v1/orders/0190b1b1-0000-7000-8000-000000000000/events"):
            answer = await web.get(path)
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"


def has_shown(watcher: Watcher, events: int) -> bool:
    return len(watcher.events) >= events


async def replace_stream(notification: Notification) -> None:
    """Delete the stream, as if its store were lost, and let the bootstrap create it again."""
    async with notification.servers.bus_as("admin") as admin:
        await admin.jetstream().delete_stream("NOTIFICATION")
    await notification.servers.ensure_bus()
