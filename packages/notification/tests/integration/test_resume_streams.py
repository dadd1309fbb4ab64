"""How a client comes back: the header or the query, a log that was restored meanwhile, a database that is away."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from cafeteria.contracts.values import OrderStatus, Role

STUDENT = "210041101"
OTHER_STUDENT = "210041102"
PATH = (OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED, OrderStatus.IN_KITCHEN, OrderStatus.READY)
PENDING, STOCK_VERIFIED, IN_KITCHEN, READY = PATH


@pytest.mark.parametrize("path", ["/v1/events", "/v1/orders/{order_id}/events"])
async def test_the_query_resumes_a_stream_like_the_header(
    hall: Any, make_order: Any, wait_until: Any, path: str
) -> None:
    order = make_order()
    async with hall.watch() as watcher:
        await hall.tell(order.enters(PENDING), order.enters(STOCK_VERIFIED))
        await wait_until(lambda: len(watcher.events) == 2)
    await hall.tell(order.enters(IN_KITCHEN), order.enters(READY))
    address = f"{path.format(order_id=order.id)}?lastEventId={watcher.last_id}"
    async with hall.watch(address) as resumed:
        await wait_until(lambda: len(resumed.events) >= 2)
        assert resumed.statuses() == [IN_KITCHEN, READY]
    async with hall.watch(address, last_event_id=resumed.events[0].id) as both:
        await wait_until(lambda: both.last_id == resumed.events[1].id)
        assert both.statuses() == [READY]


async def test_an_id_of_a_log_that_was_restored_since_shows_what_is_live(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    """The restored log gives the client's position to another row; the client has not seen the rows before it."""
    order = make_order()
    async with hall.watch() as watcher:
        await hall.tell(*(order.enters(status) for status in PATH[:3]))
        await wait_until(lambda: len(watcher.events) == 3)
    async with hall.watch(student_id=OTHER_STUDENT) as other:
        await wait_until(lambda: other.last_id == watcher.last_id)
    await restore_log(hall, position=1)
    strangers = [make_order(OTHER_STUDENT) for _ in range(4)]
    await hall.tell(order.enters(READY), *(stranger.enters(PENDING) for stranger in strangers))
    await wait_until(lambda: hall.logged(strangers[-1].id))
    await wait_until(hall.has_taken_all)
    async with hall.watch(last_event_id=watcher.last_id) as resumed:
        await wait_until(lambda: len(resumed.events) >= len(PATH))
        assert resumed.statuses() == list(PATH)
    async with hall.watch(student_id=OTHER_STUDENT, last_event_id=other.last_id) as resumed:
        await wait_until(lambda: len(resumed.events) >= len(strangers))


async def test_an_id_from_before_the_backup_resumes_without_a_repeat(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    order = make_order()
    async with hall.watch() as watcher:
        await hall.tell(order.enters(PENDING))
        await wait_until(lambda: watcher.events)
        await hall.tell(order.enters(STOCK_VERIFIED))
        await wait_until(lambda: len(watcher.events) == 2)
    await restore_log(hall, position=1)
    await hall.tell(order.enters(IN_KITCHEN))
    await wait_until(lambda: logs(hall, order, 3))
    await wait_until(hall.has_taken_all)
    async with hall.watch(last_event_id=watcher.events[0].id) as resumed:
        await wait_until(lambda: len(resumed.events) >= 2)
        assert resumed.statuses() == [STOCK_VERIFIED, IN_KITCHEN]


async def test_a_stream_that_cannot_be_read_ends_at_once_and_asks_to_come_back(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    """A browser's EventSource gives up for good on a 503."""
    order = make_order()
    await hall.tell(order.enters(PENDING))
    await wait_until(lambda: hall.logged(order.id))
    await wait_until(hall.has_taken_all)
    authorization = {"Authorization": f"Bearer {hall.tokens.student(STUDENT)}"}
    await hall.books.execute("ALTER ROLE notification NOLOGIN")
    try:
        await hall.books.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'notification'"
        )
        async with httpx.AsyncClient(base_url=hall.urls[0], headers=authorization, timeout=20) as web:
            answer = await web.get("/v1/events")
            other = await web.get("/v1/notifications")
    finally:
        await hall.books.execute("ALTER ROLE notification LOGIN")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("retry: 3000\n:")
    assert "data:" not in answer.text
    assert other.status_code == 503


async def test_a_stream_ends_once_with_its_token_and_is_then_refused(hall: Any) -> None:
    brief = hall.tokens.sign(STUDENT, Role.STUDENT, lifetime=timedelta(seconds=2))
    authorization = {"Authorization": f"Bearer {brief}"}
    async with httpx.AsyncClient(base_url=hall.urls[0], headers=authorization, timeout=20) as web:
        first = await web.get("/v1/events")
        again = await web.get("/v1/events")
        other = await web.get("/v1/notifications")
    assert first.status_code == 200
    assert again.status_code == 401
    assert again.headers["content-type"] == "application/problem+json"
    assert "invalid_token" in again.headers["www-authenticate"]
    assert other.status_code == 200, "other requests allow for clocks that differ"


async def restore_log(hall: Any, *, position: int) -> None:
    """Put the log back to what it was at `position`, with an empty stream beside it."""
    async with hall.servers.bus_as("admin") as admin:
        await admin.jetstream().purge_stream("NOTIFICATION")
    async with hall.books.transaction():
        await hall.books.execute("UPDATE notification.position_counter SET position = $1", position)
        await hall.books.execute("DELETE FROM notification.notifications WHERE position > $1", position)


async def logs(hall: Any, order: Any, statuses: int) -> bool:
    return len(await hall.logged(order.id)) == statuses
