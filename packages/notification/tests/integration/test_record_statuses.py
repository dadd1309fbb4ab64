"""The log: which statuses it holds, and which events become dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from cafeteria.chassis.messaging.dead_letters import WHOLE_MESSAGE
from cafeteria.contracts.subjects import GATEWAY_STATUS
from cafeteria.contracts.values import OrderStatus, RejectionReason
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import MakeOrder, Notification, OpenNotification


PENDING, STOCK_VERIFIED, READY = OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED, OrderStatus.READY
PATH = (PENDING, STOCK_VERIFIED, OrderStatus.IN_KITCHEN, READY)


async def test_an_unreadable_message_is_a_dead_letter_and_reading_continues(
    notification: Notification, make_order: MakeOrder
) -> None:
    order = make_order()
    impossible = make_order("no student!").enters(PENDING)
    async with notification.watch() as watcher:
        await notification.gateway.client.jetstream().publish(
            GATEWAY_STATUS.subject, b"{not json", headers={"Nats-Msg-Id": "broken"}
        )
        await notification.publish(impossible, order.enters(PENDING))
        await until(lambda: watcher.events)
    rows = await notification.database.fetch(
        "SELECT stream, item, message_id, body, error FROM notification.dead_letters ORDER BY sequence"
    )
    assert [row["stream"] for row in rows] == ["NOTIFICATION"] * 2
    assert (rows[0]["item"], rows[0]["message_id"], rows[0]["body"]) == (
        WHOLE_MESSAGE,
        "broken",
        b"{not json",
    )
    assert "student_id" in rows[1]["error"]


async def test_an_unreadable_event_hides_no_other_in_its_message(
    notification: Notification, make_order: MakeOrder
) -> None:
    order = make_order()
    good = msgspec.json.encode(order.enters(PENDING))
    impossible = msgspec.json.encode(make_order("no student!").enters(PENDING))
    body = b'{"events":[{"order_id":7},%b,%b,"junk"]}' % (impossible, good)
    async with notification.watch() as watcher:
        await notification.gateway.client.jetstream().publish(GATEWAY_STATUS.subject, body)
        await until(lambda: watcher.events)
        rows = await notification.database.fetch("SELECT item FROM notification.dead_letters ORDER BY item")
    assert [row["item"] for row in rows] == [0, 1, 3]
    assert [event.order_id for event in watcher.events] == [order.id]


async def test_a_batch_that_fails_is_retried_and_not_skipped(
    notification: Notification, make_order: MakeOrder
) -> None:
    first, second = make_order(), make_order()
    async with notification.watch() as watcher:
        await notification.publish(first.enters(PENDING))
        await until(lambda: watcher.events)
        await notification.servers.postgres.stop()
        await notification.publish(second.enters(PENDING), first.enters(STOCK_VERIFIED))
        async with httpx.AsyncClient(base_url=notification.urls[0], timeout=20) as web:
            answer = await web.get("/health/ready")
            assert answer.status_code == 503
            assert answer.json()["dependencies"]["postgres"].startswith("unavailable")
            signed_in = {"Authorization": f"Bearer {notification.tokens.student()}"}
            answer = await web.get("/v1/notifications", headers=signed_in)
            assert answer.status_code == 503
        await notification.servers.postgres.start()
        await until(lambda: len(watcher.events) >= 3)
        assert [(event.order_id, event.status) for event in watcher.events] == [
            (first.id, PENDING),
            (second.id, PENDING),
            (first.id, STOCK_VERIFIED),
        ]


async def test_only_open_orders_are_stored_as_open(notification: Notification, make_order: MakeOrder) -> None:
    ready, cooking, rejected = make_order(), make_order(), make_order()
    late = ready.enters(PENDING)
    await notification.publish(
        *(ready.enters(status, with_earlier=False) for status in PATH[1:]),
        late,
        *(cooking.enters(status) for status in PATH[:3]),
        *(rejected.enters(status) for status in (PENDING, OrderStatus.REJECTED)),
    )

    async def is_rejected() -> bool:
        return OrderStatus.REJECTED in await notification.logged(rejected.id)

    await until(is_rejected)

    async def open_orders() -> set[Any]:
        return {
            row["order_id"]
            for row in await notification.database.fetch("SELECT order_id FROM notification.open_orders")
        }

    assert await open_orders() == {cooking.id}
    assert PENDING in await notification.logged(ready.id)


async def test_an_order_that_the_kitchen_refuses_is_logged_and_shown_with_that_reason(
    notification: Notification, make_order: MakeOrder
) -> None:
    order = make_order()
    earlier = [order.enters(status) for status in PATH[:2]]
    refused = msgspec.structs.replace(order.enters(OrderStatus.CANCELLED), reason=RejectionReason.KITCHEN)
    async with notification.watch() as watcher:
        await notification.publish(*earlier, refused)
        await until(lambda: len(watcher.events) >= 3)
    async with notification.watch() as later:
        await until(lambda: len(later.events) >= 3)
    expected = [(PENDING, None), (STOCK_VERIFIED, None), ("CANCELLED", "KITCHEN")]
    for shown in (watcher, later):
        assert [(event.status, event.data["reason"]) for event in shown.events] == expected
    rows = await notification.database.fetch(
        "SELECT status_sent, reason FROM notification.notifications ORDER BY version"
    )
    assert [(row["status_sent"], row["reason"]) for row in rows] == expected


async def test_after_a_restart_it_reads_on_where_it_was(
    open_notification: OpenNotification, make_order: MakeOrder
) -> None:
    order = make_order()
    before = await open_notification()
    await before.publish(order.enters(PENDING))
    await until(lambda: before.logged(order.id))
    after = await open_notification()
    async with after.watch(last_event_id="0") as watcher:
        await after.publish(order.enters(STOCK_VERIFIED))
        await until(lambda: len(watcher.events) >= 2)
        assert watcher.statuses() == [PENDING, STOCK_VERIFIED]
    row = await before.database.fetchrow(
        "SELECT position, stream_sequence FROM notification.position_counter"
    )
    assert row is not None
    assert row["position"] == 2
    assert row["stream_sequence"] >= 2
