"""Each recovery point of the order protocol, continued from what a crash there leaves behind."""

from typing import Any

import pytest

from cafeteria.chassis.clock import now
from cafeteria.contracts import bus
from cafeteria.contracts.stock import ReserveStock
from cafeteria.contracts.values import OrderStatus
from cafeteria.gateway.domain import judge, settlement


async def test_received_retry_pending_asks_stock_and_tells_the_student_that_the_order_is_pending(
    open_gateway: Any, stock: Any, wreck: Any, wait_until: Any
) -> None:
    item = stock.stock_up(10)
    order = await wreck.received({item: 1}, age_s=3)
    order_id = str(order.id)
    counter = await open_gateway()
    await wait_until(lambda: has_status(counter, order_id, "STOCK_VERIFIED"))
    news = await wait_until(lambda: said_so_far(counter, order_id, 2))
    assert [(event.status, event.version) for event in news] == [("PENDING", 1), ("STOCK_VERIFIED", 2)]
    assert stock.portions[item] == 9


async def test_received_a_repeat_asks_at_once(open_gateway: Any, stock: Any, wreck: Any) -> None:
    item = stock.stock_up(10)
    order = await wreck.received({item: 1})
    await wreck.change(order, "next_ask_at = now() + interval '1 hour'")
    counter = await open_gateway()
    answer = await counter.order({item: 1}, key="k")
    assert (answer.status_code, answer.json()["id"]) == (201, str(order.id))


async def test_decided_the_decision_is_asked_for_again_and_nothing_is_taken_twice(
    open_gateway: Any, stock: Any, wreck: Any, wait_until: Any
) -> None:
    item = stock.stock_up(1)
    order = await wreck.received({item: 1}, age_s=3)
    stock.reserve(question(order))
    assert stock.portions[item] == 0
    counter = await open_gateway()
    await wait_until(lambda: has_status(counter, str(order.id), "STOCK_VERIFIED"))
    assert stock.portions[item] == 0


async def test_received_too_long_ago_stock_gives_the_order_up_for_good(
    open_gateway: Any, stock: Any, wreck: Any, wait_until: Any
) -> None:
    item = stock.stock_up(10)
    order = await wreck.received({item: 1}, age_s=120)
    counter = await open_gateway()
    await wait_until(lambda: has_status(counter, str(order.id), "REJECTED"))
    answer = await counter.order({item: 1}, key="k")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/expired")
    assert stock.portions[item] == 10


async def test_decided_in_time_and_asked_for_too_late_is_verified_late(
    open_gateway: Any, stock: Any, wreck: Any, wait_until: Any
) -> None:
    item = stock.stock_up(1)
    order = await wreck.received({item: 1})
    stock.reserve(question(order))
    await wreck.change(
        order,
        "next_ask_at = now(), expires_at = now() - interval '1 hour', created_at = now() - interval '2 hours'",
    )
    counter = await open_gateway()
    await wait_until(lambda: has_status(counter, str(order.id), "STOCK_VERIFIED"))


async def test_settled_the_repeat_is_replayed_and_the_relay_carries_the_messages(
    open_gateway: Any, stock: Any, wreck: Any, wait_until: Any
) -> None:
    item = stock.stock_up(1)
    order = await wreck.received({item: 1})
    stored = await wreck.settled(order, stock.reserve(question(order)))
    counter = await open_gateway()
    answer = await counter.order({item: 1}, key="k")
    assert (answer.status_code, answer.content) == (201, stored)
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert stock.heard == 0
    (work,) = await wait_until(lambda: counter.said(bus.WORK_PLACED))
    assert work.order_id == order.id
    await wait_until(counter.has_said_all)


async def test_settled_twice_the_second_moves_nothing_and_answers_what_is_stored(
    open_gateway: Any, stock: Any, wreck: Any, wait_until: Any
) -> None:
    item = stock.stock_up(1)
    order = await wreck.received({item: 1})
    await wreck.change(order, "next_ask_at = now() + interval '1 hour'")
    counter = await open_gateway()
    late = counter.app.state.gateway.place_order._decider._settling
    decided = stock.reserve(question(order))
    stored = await wreck.settled(order, decided)
    await wreck.change(order, "status = 'IN_KITCHEN', version = 3")
    from_late_reply = await late.submit(late_settlement(order, decided))
    assert (from_late_reply.status, from_late_reply.body) == (201, stored)
    assert (await counter.row(str(order.id)))["version"] == 3
    await wait_until(counter.has_said_all)
    assert len(await counter.said(bus.WORK_PLACED)) == 1


async def test_sent_and_lost_the_messages_are_sent_again_until_the_receivers_have_them(
    open_gateway: Any, stock: Any, kitchen: Any, notification: Any, wreck: Any, wait_until: Any
) -> None:
    item = stock.stock_up(1)
    order = await wreck.received({item: 1})
    await wreck.settled(order, stock.reserve(question(order)))
    await wreck.lose_messages()
    kitchen.knows_all = notification.knows_all = False
    counter = await open_gateway()
    order_id = str(order.id)
    await wait_until(lambda: kitchen.asked_about and notification.asked_about)
    kitchen.knows_all = notification.knows_all = True  # before the second question, seconds later
    await wait_until(lambda: counter.said(bus.WORK_PLACED, order_id=order_id))
    (news,) = await wait_until(lambda: counter.said(bus.GATEWAY_STATUS, order_id=order_id))
    assert (news.status, [step.status for step in news.earlier]) == ("STOCK_VERIFIED", ["PENDING"])
    await wait_until(lambda: is_left_alone(counter, order_id))
    row = await counter.row(order_id)
    assert row["kitchen_seen_at"] is not None
    assert row["notified_version"] == 2
    metrics = (await counter.web.get("/metrics")).text
    assert 'cafeteria_missing_messages_total{receiver="kitchen"}' in metrics


async def test_sent_to_receivers_that_are_behind_nothing_is_sent_again(
    open_gateway: Any, stock: Any, kitchen: Any, notification: Any, wreck: Any, wait_until: Any
) -> None:
    item = stock.stock_up(1)
    order = await wreck.received({item: 1})
    await wreck.settled(order, stock.reserve(question(order)))
    await wreck.lose_messages()
    notification.is_behind = True
    counter = await open_gateway()
    await wait_until(lambda: len(notification.asked_about) >= 2)
    assert await counter.said(bus.GATEWAY_STATUS) == []
    row = await counter.row(str(order.id))
    assert (row["kitchen_seen_at"] is not None, row["notified_version"]) == (True, 0)
    assert row["next_check_at"] is not None


async def test_sent_with_a_message_still_in_the_outbox_nobody_is_asked(
    open_gateway: Any, stock: Any, kitchen: Any, notification: Any, wreck: Any, servers: Any, wait_until: Any
) -> None:
    item = stock.stock_up(1)
    order = await wreck.received({item: 1})
    await wreck.settled(order, stock.reserve(question(order)))
    await wreck.change(order, "next_check_at = now() - interval '1 second'")
    counter = await open_gateway()
    await wait_until(counter.has_said_all)
    await wait_until(lambda: is_left_alone(counter, str(order.id)))
    assert len(await counter.said(bus.WORK_PLACED)) == 1


async def test_following_the_kitchens_events_of_the_time_away_are_caught_up_with(
    open_gateway: Any, stock: Any, kitchen: Any, wreck: Any, wait_until: Any
) -> None:
    item = stock.stock_up(1)
    order = await wreck.received({item: 1})
    await wreck.settled(order, stock.reserve(question(order)))
    told = {"id": str(order.id)}
    await kitchen.say(told, OrderStatus.IN_KITCHEN, student_id=order.student_id)
    await kitchen.say(told, OrderStatus.READY, student_id=order.student_id)
    counter = await open_gateway()
    await wait_until(lambda: has_status(counter, told["id"], "READY"))


async def test_cancelled_at_the_kitchen_only_its_event_cancels_and_releases(
    open_gateway: Any, stock: Any, kitchen: Any, wreck: Any, wait_until: Any
) -> None:
    item = stock.stock_up(1)
    order = await wreck.received({item: 1})
    await wreck.settled(order, stock.reserve(question(order)))
    told = {"id": str(order.id)}
    await kitchen.say(told, OrderStatus.CANCELLED, student_id=order.student_id)
    counter = await open_gateway()
    await wait_until(lambda: has_status(counter, told["id"], "CANCELLED"))
    row = await wait_until(lambda: released(counter, told["id"]))
    assert row["released_at"] == stock.released[order.id].released_at


async def test_cancelled_and_not_released_release_asks_until_stock_answers(
    open_gateway: Any, stock: Any, wreck: Any, wait_until: Any
) -> None:
    item = stock.stock_up(1)
    order = await wreck.received({item: 1})
    await wreck.settled(order, stock.reserve(question(order)))
    await wreck.change(order, "status = 'CANCELLED', version = 3, next_ask_at = now()")
    stock.loses_replies = True
    counter = await open_gateway()
    await wait_until(lambda: stock.heard >= 2)
    stock.loses_replies = False
    await wait_until(lambda: released(counter, str(order.id)))
    assert len(stock.released) == 1


@pytest.mark.parametrize("committed", ["committed", "lost"])
async def test_with_the_outcome_of_a_commit_unknown_the_order_is_found_by_its_key_or_the_student_repeats(
    counter: Any, stock: Any, loses_the_server: Any, committed: str
) -> None:
    item = stock.stock_up(1)
    intake = counter.app.state.gateway.place_order._intake
    intake._database = loses_the_server(intake._database, times=2, is_committed=committed == "committed")
    answer = await counter.order({item: 1}, key="k")
    if committed == "committed":
        assert answer.status_code == 201
    else:
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        assert answer.headers["Retry-After"]
    repeat = await counter.order({item: 1}, key="k")
    assert repeat.status_code == 201
    assert (await counter.count("orders"), stock.portions[item]) == (1, 0)


def question(order: Any) -> ReserveStock:
    return ReserveStock(order_id=order.id, lines=order.lines, age_ms=0)


def late_settlement(order: Any, decided: Any) -> Any:
    return settlement(judge(order, decided, at=now()))


async def has_status(counter: Any, order_id: str, status: str) -> bool:
    return bool(await counter.status(order_id) == status)


async def said_so_far(counter: Any, order_id: str, count: int) -> Any:
    said = await counter.said(bus.GATEWAY_STATUS, order_id=order_id)
    return said if len(said) >= count else None


async def is_left_alone(counter: Any, order_id: str) -> bool:
    return (await counter.row(order_id))["next_check_at"] is None


async def released(counter: Any, order_id: str) -> Any:
    row = await counter.row(order_id)
    return row if row["released_at"] else None
