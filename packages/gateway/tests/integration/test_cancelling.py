"""Cancelling before, while and after the kitchen has the order, with each peer silent in turn."""

import asyncio
from typing import Any
from uuid import UUID

from cafeteria.chassis.ids import new_id
from cafeteria.contracts.values import OrderStatus


async def test_a_verified_order_is_cancelled_released_and_cancelling_again_answers_the_same(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    order = await an_order(counter, stock)
    answer = await counter.cancel(order["id"])
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["version"]) == ("CANCELLED", 3)
    again = await counter.cancel(order["id"])
    assert (again.status_code, again.content) == (200, answer.content)
    await wait_until(lambda: is_released(counter, order["id"]))
    assert list(stock.released) == [UUID(order["id"])]
    row = await counter.row(order["id"])
    assert row["kitchen_seen_at"] is not None
    assert row["next_ask_at"] is None


async def test_the_kitchen_learns_the_whole_order_with_the_request_to_cancel(
    counter: Any, stock: Any, kitchen: Any
) -> None:
    order = await an_order(counter, stock)
    await counter.cancel(order["id"])
    (ticket,) = kitchen.tickets
    assert [(step.status, step.version) for step in ticket.earlier] == [("PENDING", 1), ("STOCK_VERIFIED", 2)]
    assert (ticket.student_id, [line.quantity for line in ticket.lines]) == ("210041101", [1])


async def test_cancelling_in_parallel_cancels_once(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    order = await an_order(counter, stock)
    answers = await asyncio.gather(*(counter.cancel(order["id"]) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    await wait_until(lambda: is_released(counter, order["id"]))
    assert len(stock.released) == 1


async def test_an_order_that_is_being_cooked_stays_and_its_new_state_is_known_at_once(
    counter: Any, stock: Any, kitchen: Any
) -> None:
    order = await an_order(counter, stock)
    kitchen.begun.add(UUID(order["id"]))
    answer = await counter.cancel(order["id"])
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/too-late-to-cancel")
    assert await counter.status(order["id"]) == "IN_KITCHEN"
    assert stock.released == {}


async def test_a_rejected_order_is_not_cancelled(counter: Any, stock: Any, kitchen: Any) -> None:
    refusal = await counter.order({new_id(): 1})
    answer = await counter.cancel(refusal.json()["order_id"])
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/too-late-to-cancel")
    assert kitchen.heard == 0


async def test_another_students_order_is_not_there_to_cancel(counter: Any, stock: Any, kitchen: Any) -> None:
    order = await an_order(counter, stock)
    assert (await counter.cancel(order["id"], student="210041102")).status_code == 404
    assert (await counter.cancel(str(new_id()))).status_code == 404
    assert kitchen.heard == 0


async def test_with_the_kitchen_silent_it_is_not_known_and_the_order_stays(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    order = await an_order(counter, stock)
    kitchen.fall_silent()
    answer = await counter.cancel(order["id"])
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert answer.headers["Retry-After"]
    assert await counter.status(order["id"]) == "STOCK_VERIFIED"
    kitchen.speak()
    await wait_until(lambda: kitchen.cancelled)  # it had heard the question
    assert (await counter.cancel(order["id"])).status_code == 200


async def test_with_stock_silent_the_order_is_cancelled_and_released_once_stock_answers(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    order = await an_order(counter, stock)
    stock.fall_silent()
    assert (await counter.cancel(order["id"])).status_code == 200
    assert (await counter.row(order["id"]))["released_at"] is None
    stock.speak()
    await wait_until(lambda: is_released(counter, order["id"]))
    assert len(stock.released) == 1


async def test_a_pending_order_is_first_decided(counter: Any, stock: Any, kitchen: Any) -> None:
    item = stock.stock_up(10)
    stock.loses_replies = True
    order = (await counter.order({item: 1})).json()
    assert order["status"] == "PENDING"
    stock.loses_replies = False
    answer = await counter.cancel(order["id"])
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")


async def test_an_order_that_stock_cannot_decide_now_is_not_cancelled_now(
    counter: Any, stock: Any, kitchen: Any
) -> None:
    item = stock.stock_up(10)
    stock.fall_silent()
    order = (await counter.order({item: 1})).json()
    answer = await counter.cancel(order["id"])
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/order-undecided")
    assert kitchen.heard == 0


async def test_the_kitchens_event_after_the_answer_changes_nothing(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    order = await an_order(counter, stock)
    cancelled = await counter.cancel(order["id"])
    await wait_until(lambda: is_released(counter, order["id"]))
    before = dict(await counter.row(order["id"]))
    await kitchen.say(order, OrderStatus.CANCELLED, student_id="210041101")
    await wait_until(counter.has_read_all)
    assert dict(await counter.row(order["id"])) == before
    assert (await counter.cancel(order["id"])).content == cancelled.content


async def an_order(counter: Any, stock: Any) -> dict[str, Any]:
    answer = await counter.order({stock.stock_up(10): 1})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def is_released(counter: Any, order_id: str) -> bool:
    return (await counter.row(order_id))["released_at"] is not None
