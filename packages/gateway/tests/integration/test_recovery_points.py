"""Each recovery point of the order protocol: a gateway continues from what a crash there has left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts import subjects
from cafeteria.contracts.stock import ReserveStock, StockDecided
from cafeteria.contracts.values import OrderStatus
from cafeteria.gateway.answers import Settlement, settlement
from cafeteria.gateway.domain import PendingOrder, judge
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import (
        BrokenStack,
        FakeKitchen,
        FakeNotification,
        FakeStock,
        LosesConnection,
        OpenGateway,
        RunningGateway,
    )


async def test_received_retry_pending_asks_stock_and_publishes_pending(
    open_gateway: OpenGateway, stock: FakeStock, broken_stack: BrokenStack
) -> None:
    item = stock.stock_up(10)
    order = await broken_stack.received({item: 1}, age_s=3)
    order_id = str(order.id)
    gateway = await open_gateway()
    await until(lambda: has_status(gateway, order_id, "STOCK_VERIFIED"))
    events = await until(lambda: published_so_far(gateway, order_id, 2))
    assert [(event.status, event.version) for event in events] == [
        ("PENDING", 1),
        ("STOCK_VERIFIED", 2),
    ]
    assert stock.portions[item] == 9


async def test_received_a_repeat_asks_at_once(
    open_gateway: OpenGateway, stock: FakeStock, broken_stack: BrokenStack
) -> None:
    item = stock.stock_up(10)
    order = await broken_stack.received({item: 1})
    await broken_stack.change(order, "next_ask_at = now() + interval '1 hour'")
    gateway = await open_gateway()
    answer = await gateway.order({item: 1}, key="k")
    assert (answer.status_code, answer.json()["id"]) == (201, str(order.id))


async def test_decided_the_request_is_repeated_and_stock_takes_nothing_twice(
    open_gateway: OpenGateway, stock: FakeStock, broken_stack: BrokenStack
) -> None:
    item = stock.stock_up(1)
    order = await broken_stack.received({item: 1}, age_s=3)
    stock.reserve(request_for(order))
    assert stock.portions[item] == 0
    gateway = await open_gateway()
    await until(lambda: has_status(gateway, str(order.id), "STOCK_VERIFIED"))
    assert stock.portions[item] == 0


async def test_received_too_long_ago_stock_gives_the_order_up_for_good(
    open_gateway: OpenGateway, stock: FakeStock, broken_stack: BrokenStack
) -> None:
    item = stock.stock_up(10)
    order = await broken_stack.received({item: 1}, age_s=120)
    gateway = await open_gateway()
    await until(lambda: has_status(gateway, str(order.id), "REJECTED"))
    answer = await gateway.order({item: 1}, key="k")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/expired")
    assert stock.portions[item] == 10


async def test_decided_in_time_and_asked_for_too_late_is_verified_late(
    open_gateway: OpenGateway, stock: FakeStock, broken_stack: BrokenStack
) -> None:
    item = stock.stock_up(1)
    order = await broken_stack.received({item: 1})
    stock.reserve(request_for(order))
    await broken_stack.change(
        order,
        "next_ask_at = now(), expires_at = now() - interval '1 hour', created_at = now() - interval '2 hours'",
    )
    gateway = await open_gateway()
    await until(lambda: has_status(gateway, str(order.id), "STOCK_VERIFIED"))


async def test_settled_a_repeat_gets_the_stored_answer_and_the_relay_publishes_the_messages(
    open_gateway: OpenGateway, stock: FakeStock, broken_stack: BrokenStack
) -> None:
    item = stock.stock_up(1)
    order = await broken_stack.received({item: 1})
    stored = await broken_stack.settled(order, stock.reserve(request_for(order)))
    gateway = await open_gateway()
    answer = await gateway.order({item: 1}, key="k")
    assert (answer.status_code, answer.content) == (201, stored)
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert stock.request_count == 0
    (work,) = await until(lambda: gateway.published(subjects.WORK_PLACED))
    assert work.order_id == order.id
    await until(gateway.has_published_all)


async def test_settled_twice_the_second_changes_nothing_and_returns_the_stored_answer(
    open_gateway: OpenGateway, stock: FakeStock, broken_stack: BrokenStack
) -> None:
    item = stock.stock_up(1)
    order = await broken_stack.received({item: 1})
    await broken_stack.change(order, "next_ask_at = now() + interval '1 hour'")
    gateway = await open_gateway()
    late = gateway.service.settle_orders.batcher
    decided = stock.reserve(request_for(order))
    stored = await broken_stack.settled(order, decided)
    await broken_stack.change(order, "status = 'IN_KITCHEN', version = 3")
    from_late_reply = await late.submit(late_settlement(order, decided))
    assert from_late_reply is not None
    assert (from_late_reply.status, from_late_reply.body) == (201, stored)
    assert (await gateway.row(str(order.id)))["version"] == 3
    await until(gateway.has_published_all)
    assert len(await gateway.published(subjects.WORK_PLACED)) == 1


async def test_sent_and_lost_the_messages_are_sent_again_until_the_receivers_have_them(
    open_gateway: OpenGateway,
    stock: FakeStock,
    kitchen: FakeKitchen,
    notification: FakeNotification,
    broken_stack: BrokenStack,
) -> None:
    item = stock.stock_up(1)
    order = await broken_stack.received({item: 1})
    await broken_stack.settled(order, stock.reserve(request_for(order)))
    await broken_stack.lose_messages()
    kitchen.knows_all = notification.knows_all = False
    gateway = await open_gateway()
    order_id = str(order.id)
    await until(lambda: kitchen.asked_about and notification.asked_about)
    kitchen.knows_all = notification.knows_all = True  # before the second check, seconds later
    await until(lambda: gateway.published(subjects.WORK_PLACED, order_id=order_id))
    (status_event,) = await until(lambda: gateway.published(subjects.GATEWAY_STATUS, order_id=order_id))
    assert (status_event.status, [step.status for step in status_event.earlier]) == (
        "STOCK_VERIFIED",
        ["PENDING"],
    )
    await until(lambda: is_reconciled(gateway, order_id))
    row = await gateway.row(order_id)
    assert row["kitchen_seen_at"] is not None
    assert row["notified_version"] == 2
    metrics = (await gateway.web.get("/metrics")).text
    assert 'cafeteria_missing_messages_total{receiver="kitchen"}' in metrics


async def test_sent_to_receivers_that_lag_nothing_is_sent_again(
    open_gateway: OpenGateway,
    stock: FakeStock,
    kitchen: FakeKitchen,
    notification: FakeNotification,
    broken_stack: BrokenStack,
) -> None:
    item = stock.stock_up(1)
    order = await broken_stack.received({item: 1})
    await broken_stack.settled(order, stock.reserve(request_for(order)))
    await broken_stack.lose_messages()
    notification.is_behind = True
    gateway = await open_gateway()
    await until(lambda: len(notification.asked_about) >= 2)
    assert await gateway.published(subjects.GATEWAY_STATUS) == []
    row = await gateway.row(str(order.id))
    assert (row["kitchen_seen_at"] is not None, row["notified_version"]) == (True, 0)
    assert row["next_check_at"] is not None


async def test_sent_with_a_message_still_in_the_outbox_no_receiver_is_asked(
    open_gateway: OpenGateway,
    stock: FakeStock,
    kitchen: FakeKitchen,
    notification: FakeNotification,
    broken_stack: BrokenStack,
    servers: FixtureServers,
) -> None:
    item = stock.stock_up(1)
    order = await broken_stack.received({item: 1})
    await broken_stack.settled(order, stock.reserve(request_for(order)))
    await broken_stack.change(order, "next_check_at = now() - interval '1 second'")
    gateway = await open_gateway()
    await until(gateway.has_published_all)
    await until(lambda: is_reconciled(gateway, str(order.id)))
    assert len(await gateway.published(subjects.WORK_PLACED)) == 1


async def test_following_events_that_the_kitchen_published_while_the_gateway_was_down_are_projected(
    open_gateway: OpenGateway, stock: FakeStock, kitchen: FakeKitchen, broken_stack: BrokenStack
) -> None:
    item = stock.stock_up(1)
    order = await broken_stack.received({item: 1})
    await broken_stack.settled(order, stock.reserve(request_for(order)))
    published = {"id": str(order.id)}
    await kitchen.publish_status(published, OrderStatus.IN_KITCHEN, student_id=order.student_id)
    await kitchen.publish_status(published, OrderStatus.READY, student_id=order.student_id)
    gateway = await open_gateway()
    await until(lambda: has_status(gateway, published["id"], "READY"))


async def test_cancelled_at_the_kitchen_only_its_event_cancels_and_releases(
    open_gateway: OpenGateway, stock: FakeStock, kitchen: FakeKitchen, broken_stack: BrokenStack
) -> None:
    item = stock.stock_up(1)
    order = await broken_stack.received({item: 1})
    await broken_stack.settled(order, stock.reserve(request_for(order)))
    published = {"id": str(order.id)}
    await kitchen.publish_status(published, OrderStatus.CANCELLED, student_id=order.student_id)
    gateway = await open_gateway()
    await until(lambda: has_status(gateway, published["id"], "CANCELLED"))
    row = await until(lambda: released(gateway, published["id"]))
    assert row["released_at"] == stock.released[order.id].released_at


async def test_cancelled_and_not_released_release_asks_until_stock_answers(
    open_gateway: OpenGateway, stock: FakeStock, broken_stack: BrokenStack
) -> None:
    item = stock.stock_up(1)
    order = await broken_stack.received({item: 1})
    await broken_stack.settled(order, stock.reserve(request_for(order)))
    await broken_stack.change(order, "status = 'CANCELLED', version = 3, next_ask_at = now()")
    stock.loses_replies = True
    gateway = await open_gateway()
    await until(lambda: stock.request_count >= 2)
    stock.loses_replies = False
    await until(lambda: released(gateway, str(order.id)))
    assert len(stock.released) == 1


@pytest.mark.parametrize("committed", ["committed", "lost"])
async def test_with_the_outcome_of_a_commit_unknown_the_order_is_found_by_its_key_or_the_student_repeats(
    gateway: RunningGateway, stock: FakeStock, loses_connection: type[LosesConnection], committed: str
) -> None:
    item = stock.stock_up(1)
    receive_orders = gateway.service.receive_orders
    receive_orders._database = loses_connection(
        receive_orders._database, times=2, is_committed=committed == "committed"
    )
    answer = await gateway.order({item: 1}, key="k")
    if committed == "committed":
        assert answer.status_code == 201
    else:
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        assert answer.headers["Retry-After"]
    repeat = await gateway.order({item: 1}, key="k")
    assert repeat.status_code == 201
    assert (await gateway.count("orders"), stock.portions[item]) == (1, 0)


def request_for(order: PendingOrder) -> ReserveStock:
    return ReserveStock(order_id=order.id, lines=order.lines, age_ms=0)


def late_settlement(order: PendingOrder, decided: StockDecided) -> Settlement:
    return settlement(judge(order, decided, at=now()))


async def has_status(gateway: RunningGateway, order_id: str, status: str) -> bool:
    return bool(await gateway.status(order_id) == status)


async def published_so_far(gateway: RunningGateway, order_id: str, count: int) -> Any:
    items = await gateway.published(subjects.GATEWAY_STATUS, order_id=order_id)
    return items if len(items) >= count else None


async def is_reconciled(gateway: RunningGateway, order_id: str) -> bool:
    return (await gateway.row(order_id))["next_check_at"] is None


async def released(gateway: RunningGateway, order_id: str) -> Any:
    row = await gateway.row(order_id)
    return row if row["released_at"] else None
