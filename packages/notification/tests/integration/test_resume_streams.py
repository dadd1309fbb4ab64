"""A client resumes its stream: by header or query, after the log was restored, while the database is unavailable."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from cafeteria.contracts.values import OrderStatus, Role
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import MakeOrder, Notification, Order


STUDENT = "210041101"
OTHER_STUDENT = "210041102"
PATH = (OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED, OrderStatus.IN_KITCHEN, OrderStatus.READY)
PENDING, STOCK_VERIFIED, IN_KITCHEN, READY = PATH


@pytest.mark.parametrize("path", ["/v1/events", "/v1/orders/{order_id}/events"])
async def test_the_query_resumes_a_stream_like_the_header(
    notification: Notification, make_order: MakeOrder, path: str
) -> None:
    order = make_order()
    async with notification.watch() as watcher:
        await notification.publish(order.enters(PENDING), order.enters(STOCK_VERIFIED))
        await until(lambda: len(watcher.events) == 2)
    await notification.publish(order.enters(IN_KITCHEN), order.enters(READY))
    address = f"{path.format(order_id=order.id)}?lastEventId={watcher.last_id}"
    async with notification.watch(address) as resumed:
        await until(lambda: len(resumed.events) >= 2)
        assert resumed.statuses() == [IN_KITCHEN, READY]
    async with notification.watch(address, last_event_id=resumed.events[0].id) as both:
        await until(lambda: both.last_id == resumed.events[1].id)
        assert both.statuses() == [READY]


async def test_an_id_from_before_a_restore_shows_the_live_orders(
    notification: Notification, make_order: MakeOrder
) -> None:
    """The restored log assigns the client's position to another row; the client has not seen the rows before it."""
    order = make_order()
    async with notification.watch() as watcher:
        await notification.publish(*(order.enters(status) for status in PATH[:3]))
        await until(lambda: len(watcher.events) == 3)
    async with notification.watch(student_id=OTHER_STUDENT) as other:
        await until(lambda: other.last_id == watcher.last_id)
    await restore_log(notification, position=1)
    strangers = [make_order(OTHER_STUDENT) for _ in range(4)]
    await notification.publish(order.enters(READY), *(stranger.enters(PENDING) for stranger in strangers))
    await until(lambda: notification.logged(strangers[-1].id))
    await until(notification.has_handled_all)
    async with notification.watch(last_event_id=watcher.last_id) as resumed:
        await until(lambda: len(resumed.events) >= len(PATH))
        assert resumed.statuses() == list(PATH)
    async with notification.watch(student_id=OTHER_STUDENT, last_event_id=other.last_id) as resumed:
        await until(lambda: len(resumed.events) >= len(strangers))


async def test_an_id_that_the_backup_contains_resumes_without_a_repeat(
    notification: Notification, make_order: MakeOrder
) -> None:
    order = make_order()
    async with notification.watch() as watcher:
        await notification.publish(order.enters(PENDING))
        await until(lambda: watcher.events)
        await notification.publish(order.enters(STOCK_VERIFIED))
        await until(lambda: len(watcher.events) == 2)
    await restore_log(notification, position=1)
    await notification.publish(order.enters(IN_KITCHEN))
    await until(lambda: logs(notification, order, 3))
    await until(notification.has_handled_all)
    async with notification.watch(last_event_id=watcher.events[0].id) as resumed:
        await until(lambda: len(resumed.events) >= 2)
        assert resumed.statuses() == [STOCK_VERIFIED, IN_KITCHEN]


async def test_a_stream_that_cannot_be_read_ends_at_once_with_a_longer_retry(
    notification: Notification, make_order: MakeOrder
) -> None:
    """A browser's EventSource gives up for good on a 503."""
    order = make_order()
    await notification.publish(order.enters(PENDING))
    await until(lambda: notification.logged(order.id))
    await until(notification.has_handled_all)
    authorization = {"Authorization": f"Bearer {notification.tokens.student(STUDENT)}"}
    await notification.database.execute("ALTER ROLE notification NOLOGIN")
    try:
        await notification.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'notification'"
        )
        async with httpx.AsyncClient(base_url=notification.urls[0], headers=authorization, timeout=20) as web:
            answer = await web.get("/v1/events")
            other = await web.get("/v1/notifications")
    finally:
        await notification.database.execute("ALTER ROLE notification LOGIN")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("retry: 3000\n:")
    assert "data:" not in answer.text
    assert other.status_code == 503


async def test_a_stream_ends_once_with_its_token_and_is_then_refused(notification: Notification) -> None:
    brief = notification.tokens.sign(STUDENT, Role.STUDENT, lifetime=timedelta(seconds=2))
    authorization = {"Authorization": f"Bearer {brief}"}
    async with httpx.AsyncClient(base_url=notification.urls[0], headers=authorization, timeout=20) as web:
        first = await web.get("/v1/events")
        again = await web.get("/v1/events")
        other = await web.get("/v1/notifications")
    assert first.status_code == 200
    assert again.status_code == 401
    assert again.headers["content-type"] == "application/problem+json"
    assert "invalid_token" in again.headers["www-authenticate"]
    assert other.status_code == 200, "other requests allow for clocks that differ"


async def restore_log(notification: Notification, *, position: int) -> None:
    """Restore the log as it was at `position`, and empty the stream."""
    async with notification.servers.bus_as("admin") as admin:
        await admin.jetstream().purge_stream("NOTIFICATION")
    async with notification.database.transaction():
        await notification.database.execute(
            "UPDATE notification.position_counter SET position = $1", position
        )
        await notification.database.execute(
            "DELETE FROM notification.notifications WHERE position > $1", position
        )


async def logs(notification: Notification, order: Order, statuses: int) -> bool:
    return len(await notification.logged(order.id)) == statuses
