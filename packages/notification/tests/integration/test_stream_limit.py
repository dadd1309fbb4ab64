"""How many streams one student may have, and what many of them do to other students and to the reader."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import httpx
import pytest

from cafeteria.contracts.values import OrderStatus
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import MakeOrder, Notification, OpenNotification

STUDENT, OTHER = "210041101", "210041102"
DEADLINE_S = 30.0


async def test_a_stream_above_the_limit_is_refused_and_the_open_ones_go_on(
    open_notification: OpenNotification, make_order: MakeOrder
) -> None:
    notification, order = await open_notification(streams=2), make_order()
    async with notification.watch() as one, notification.watch(f"/v1/orders/{order.id}/events"):
        for path in ("/v1/events", f"/v1/orders/{order.id}/events"):
            refused = await get(notification, path)
            assert (refused.status_code, refused.json()["type"]) == (429, "/problems/limit-reached")
            assert refused.headers["content-type"] == "application/problem+json"
            assert int(refused.headers["Retry-After"]) > 0
            assert "2 event streams" in refused.json()["detail"]
        async with notification.watch(student_id=OTHER):
            await notification.publish(order.enters(OrderStatus.PENDING))
            await until(lambda: one.statuses(order.id))
    await until(lambda: opens(notification))


async def test_of_streams_that_open_together_as_many_as_the_limit_are_opened(
    open_notification: OpenNotification,
) -> None:
    notification = await open_notification(streams=8)
    statuses = await open_together(notification, 60)
    assert statuses == {200: 8, 429: 52}


@pytest.mark.parametrize("replay", ["live orders", "last event"])
async def test_without_a_limit_many_streams_of_a_student_hinder_neither_another_nor_the_reader(
    notification: Notification, make_order: MakeOrder, replay: str
) -> None:
    await notification.fill(400, student_id=STUDENT)
    order = make_order(OTHER)

    async def the_other_follows_an_order() -> None:
        async with notification.watch(student_id=OTHER) as watcher:
            for status in (OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED):
                await notification.publish(order.enters(status))
            await until(lambda: len(watcher.statuses(order.id)) == 2)

    last_event_id = "1" if replay == "last event" else None
    statuses, _ = await asyncio.gather(
        open_together(notification, 200, last_event_id=last_event_id), the_other_follows_an_order()
    )
    assert statuses == {200: 200}
    async with plain_http(base_url=notification.urls[0], timeout_s=DEADLINE_S) as web:
        assert (
            'cafeteria_reader_failures_total{stream="NOTIFICATION"} 0.0' in (await web.get("/metrics")).text
        )


async def open_together(
    notification: Notification, count: int, *, last_event_id: str | None = None
) -> Counter[int]:
    """Send so many requests for a stream of the student at once; return the statuses, then disconnect."""
    headers = {"Authorization": f"Bearer {notification.tokens.student(STUDENT)}"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    limits = httpx.Limits(max_connections=None)
    async with AsyncExitStack() as responses:
        web = await responses.enter_async_context(
            httpx.AsyncClient(base_url=notification.urls[0], timeout=DEADLINE_S, limits=limits)
        )
        opened = await asyncio.gather(
            *(
                responses.enter_async_context(web.stream("GET", "/v1/events", headers=headers))
                for _ in range(count)
            )
        )
        return Counter(response.status_code for response in opened)


async def get(notification: Notification, path: str) -> httpx.Response:
    async with plain_http(base_url=notification.urls[0], timeout_s=DEADLINE_S) as web:
        return await web.get(
            path, headers={"Authorization": f"Bearer {notification.tokens.student(STUDENT)}"}
        )


async def opens(notification: Notification) -> bool:
    """Whether the student can open a stream again."""
    return (await open_together(notification, 1))[200] == 1
