"""What an open stream shows: every status once, in order, whatever happens on the way."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from cafeteria.contracts.values import OrderStatus
from cafeteria.notification.domain import place_of

PATH = (OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED, OrderStatus.IN_KITCHEN, OrderStatus.READY)
PENDING, STOCK_VERIFIED, IN_KITCHEN, READY = PATH
OTHER_STUDENT = "210041102"


async def test_a_student_sees_an_order_go_its_way(hall: Any, make_order: Any, wait_until: Any) -> None:
    order = make_order()
    async with hall.watch() as watcher:
        assert watcher.response.headers["content-type"].startswith("text/event-stream")
        assert watcher.response.headers["cache-control"] == "no-cache"
        assert watcher.response.headers["x-accel-buffering"] == "no"
        for status in PATH:
            event = order.enters(status)
            await hall.tell(event)
            shown = await wait_until(lambda: watcher.events and watcher.events[-1])
        await wait_until(lambda: len(watcher.events) == 4)
        assert watcher.statuses(order.id) == list(PATH)
        assert watcher.retry == "1000"
        shown = watcher.events[-1].data
        assert datetime.fromisoformat(shown.pop("at")) == event.at
        assert shown == {"order_id": str(order.id), "status": "READY", "version": 4, "reason": None}


async def test_ten_reconnects_during_an_order_show_each_status_once_and_in_order(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    orders = [make_order() for _ in range(3)]
    news = [order.enters(status) for status in PATH for order in orders]
    seen: list[tuple[Any, str]] = []
    last_event_id = None
    for turn in range(10):
        until = len(news) if turn == 9 else turn + 1
        async with hall.watch(last_event_id=last_event_id) as watcher:
            await hall.tell(*news[turn:until])
            if turn % 2:  # every other time it leaves without waiting for what was told
                await wait_until(partial(has_shown, watcher, until - len(seen)))
        seen.extend((event.order_id, event.status) for event in watcher.events)
        last_event_id = watcher.last_id or last_event_id
    assert seen == [(event.order_id, event.status) for event in news]


async def test_clients_of_two_replicas_see_the_same(two_halls: Any, make_order: Any, wait_until: Any) -> None:
    orders = [make_order() for _ in range(20)]
    async with two_halls.watch(service=0) as first, two_halls.watch(service=1) as second:
        for status in PATH:
            await two_halls.tell(*(order.enters(status) for order in orders))
        await wait_until(lambda: len(first.events) >= 80 and len(second.events) >= 80)
        assert [event.id for event in first.events] == [event.id for event in second.events]
        assert first.events == second.events
        for order in orders:
            assert first.statuses(order.id) == list(PATH)


async def test_replicas_that_log_at_the_same_time_agree_on_every_position(
    two_halls: Any, make_order: Any, wait_until: Any
) -> None:
    orders = [make_order() for _ in range(250)]
    async with two_halls.watch(service=0) as first, two_halls.watch(service=1) as second:
        for status in PATH:
            await two_halls.tell_at_once([order.enters(status) for order in orders])
        await wait_until(lambda: len(first.events) >= 1_000 and len(second.events) >= 1_000)
        assert [event.position for event in first.events] == list(range(1, 1_001))
        assert first.events == second.events
        for order in orders:
            assert first.statuses(order.id) == list(PATH)


async def test_a_client_goes_on_at_the_other_replica(
    two_halls: Any, make_order: Any, wait_until: Any
) -> None:
    order = make_order()
    last_event_id, seen = None, []
    for turn, status in enumerate(PATH):
        await two_halls.tell(order.enters(status))
        async with two_halls.watch(service=turn % 2, last_event_id=last_event_id) as watcher:
            await wait_until(lambda: watcher.events)
            seen += watcher.statuses()
            last_event_id = watcher.last_id
    assert seen == list(PATH)


async def test_what_a_lost_store_takes_along_is_neither_missed_nor_repeated(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    order = make_order()
    async with hall.watch() as watcher:
        await hall.tell(order.enters(PENDING), order.enters(STOCK_VERIFIED))
        await wait_until(lambda: len(watcher.events) == 2)
        await replace_stream(hall)
        await hall.tell(order.enters(IN_KITCHEN))
        await wait_until(lambda: len(watcher.events) >= 3)
    async with hall.watch(last_event_id=watcher.last_id) as later:
        await replace_stream(hall)
        await hall.tell(order.enters(READY))
        await wait_until(lambda: later.events)
        assert watcher.statuses() + later.statuses() == list(PATH)


async def test_what_only_another_replica_could_read_is_shown_here_too(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    """It was logged from a stream that is lost since: no message will ever bring it to this replica."""
    order = make_order()
    async with hall.watch() as watcher:
        await hall.tell(order.enters(PENDING))
        await wait_until(lambda: watcher.events)
        await hall.fill(3, student_id=order.student_id)
        await wait_until(lambda: len(watcher.events) == 4)
        assert [event.position for event in watcher.events] == [1, 2, 3, 4]


async def test_nats_may_die_and_lose_its_store(hall: Any, make_order: Any, wait_until: Any) -> None:
    order = make_order()
    async with hall.watch() as watcher:
        await hall.tell(order.enters(PENDING))
        await wait_until(lambda: watcher.events)
        await hall.servers.wipe_nats()
        await wait_until(lambda: hall.gateway.is_connected and hall.kitchen.is_connected)
        order.enters(STOCK_VERIFIED)  # lost with the store; the next event still knows of it
        await hall.tell(order.enters(IN_KITCHEN))
        await wait_until(lambda: len(watcher.events) >= 3)
        assert watcher.statuses() == [PENDING, STOCK_VERIFIED, IN_KITCHEN]


async def test_an_event_that_overtakes_brings_along_what_it_has_overtaken(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    order = make_order()
    pending, verified, cooking = (order.enters(status) for status in PATH[:3])
    async with hall.watch() as watcher:
        await hall.tell(pending, cooking, verified, order.enters(READY))
        await wait_until(lambda: len(watcher.events) >= 4)
        assert watcher.statuses() == list(PATH)
    assert await hall.logged(order.id) == list(PATH)


async def test_events_told_twice_are_shown_once(hall: Any, make_order: Any, wait_until: Any) -> None:
    first, second = make_order(), make_order()
    events = [first.enters(status) for status in PATH]
    async with hall.watch() as watcher:
        await hall.tell(*events, *events)
        await hall.tell(second.enters(PENDING))
        await wait_until(lambda: watcher.statuses(second.id))
        assert watcher.statuses(first.id) == list(PATH)


async def test_nobody_sees_what_is_another_students(hall: Any, make_order: Any, wait_until: Any) -> None:
    own, others = make_order(), make_order(OTHER_STUDENT)
    async with (
        hall.watch() as watcher,
        hall.watch(f"/v1/orders/{others.id}/events") as nosy,
        hall.watch(student_id=OTHER_STUDENT) as other,
    ):
        await hall.tell(others.enters(PENDING), own.enters(PENDING))
        await wait_until(lambda: watcher.events and other.events)
        assert {event.order_id for event in watcher.events} == {own.id}
        assert {event.order_id for event in other.events} == {others.id}
        assert nosy.events == []
    async with hall.watch(f"/v1/orders/{others.id}/events", last_event_id="0") as nosy:
        await hall.tell(own.enters(STOCK_VERIFIED))
        await wait_until(lambda: nosy.last_id)
        assert nosy.events == []


async def test_a_stream_of_one_order_waits_for_it_and_shows_no_other(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    order, other = make_order(), make_order()
    async with hall.watch(f"/v1/orders/{order.id}/events") as watcher:
        await wait_until(lambda: watcher.last_id)
        await hall.tell(other.enters(PENDING), order.enters(PENDING), order.enters(STOCK_VERIFIED))
        await wait_until(lambda: len(watcher.events) >= 2)
        assert watcher.statuses() == [PENDING, STOCK_VERIFIED]
        assert {event.order_id for event in watcher.events} == {order.id}


async def test_with_nothing_to_show_a_client_still_learns_where_it_stands(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    order = make_order()
    async with hall.watch(student_id=OTHER_STUDENT) as witness:
        await hall.tell(make_order(OTHER_STUDENT).enters(PENDING))
        await wait_until(lambda: witness.events)
    async with hall.watch() as watcher:
        await wait_until(lambda: (watcher.last_id or "").startswith("1-"))
        assert watcher.events == []
    await hall.tell(order.enters(PENDING))
    async with hall.watch(last_event_id=watcher.last_id) as later:
        await wait_until(lambda: later.events)


async def test_a_new_stream_begins_with_the_live_orders(hall: Any, make_order: Any, wait_until: Any) -> None:
    hours_ago = datetime.now(UTC) - timedelta(hours=3)
    done, waiting, fresh = make_order(began=hours_ago), make_order(began=hours_ago), make_order()
    told = [
        *(done.enters(status) for status in PATH),
        *(waiting.enters(status) for status in PATH[:3]),
        *(fresh.enters(status) for status in PATH),
    ]
    async with hall.watch() as witness:
        await hall.tell(*told)
        await wait_until(lambda: len(witness.events) == 11)
    await hall.books.execute("UPDATE notification.notifications SET sent_at = status_at")
    async with hall.watch() as watcher:
        await wait_until(lambda: len(watcher.events) >= 7)
        assert watcher.statuses(waiting.id) == list(PATH[:3])
        assert watcher.statuses(fresh.id) == list(PATH)
        assert watcher.statuses(done.id) == []
        positions = [event.position for event in watcher.events]
        assert positions == sorted(positions)
    async with hall.watch(last_event_id="0") as resumed:
        await wait_until(lambda: len(resumed.events) >= 11)
    async with hall.watch(f"/v1/orders/{done.id}/events") as single:
        await wait_until(lambda: len(single.events) >= 4)


@pytest.mark.parametrize(
    "last_event_id", ["", "soon", "-1", "1.5", "1", "1-1", "99999-1", "9" * 19 + "-1", "9" * 30]
)
async def test_an_id_that_was_never_given_out_counts_as_none(
    hall: Any, make_order: Any, wait_until: Any, last_event_id: str
) -> None:
    order = make_order()
    async with hall.watch() as witness:
        await hall.tell(order.enters(PENDING))
        await wait_until(lambda: witness.events)
    async with hall.watch(last_event_id=last_event_id) as watcher:
        await wait_until(lambda: watcher.events)
        assert watcher.statuses() == [PENDING]


async def test_a_long_backlog_is_shown_whole_and_in_order(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    await hall.fill(2_499, student_id="210041101")
    logged_at = await hall.books.fetchval("SELECT sent_at FROM notification.notifications WHERE position = 7")
    async with hall.watch(last_event_id=place_of(7, logged_at).event_id.decode()) as watcher:
        await hall.tell(make_order().enters(PENDING))
        await wait_until(lambda: len(watcher.events) >= 2_493)
        assert [event.position for event in watcher.events] == list(range(8, 2_501))
    async with hall.watch() as anew:
        await wait_until(lambda: len(anew.events) >= 2_500)
        assert [event.position for event in anew.events] == list(range(1, 2_501))


async def test_streams_ask_who_is_there(hall: Any) -> None:
    async with httpx.AsyncClient(base_url=hall.urls[0]) as web:
        for path in ("/v1/events", "/v1/orders/0190b1b1-0000-7000-8000-000000000000/events"):
            answer = await web.get(path)
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"


def has_shown(watcher: Any, events: int) -> bool:
    return len(watcher.events) >= events


async def replace_stream(hall: Any) -> None:
    """The store is lost and the bootstrap makes the stream anew."""
    async with hall.servers.bus_as("admin") as admin:
        await admin.jetstream().delete_stream("NOTIFICATION")
    await hall.servers.ensure_bus()
