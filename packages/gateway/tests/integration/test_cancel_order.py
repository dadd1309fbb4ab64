"""Cancelling before, while and after the kitchen has the order, and while a peer does not answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.values import OrderStatus, RejectionReason
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import FakeKitchen, FakeStock, RunningGateway


async def test_a_verified_order_is_cancelled_released_and_cancelling_again_answers_the_same(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    answer = await gateway.cancel(order["id"])
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["version"]) == ("CANCELLED", 3)
    again = await gateway.cancel(order["id"])
    assert (again.status_code, again.content) == (200, answer.content)
    await until(lambda: is_released(gateway, order["id"]))
    assert list(stock.released) == [UUID(order["id"])]
    row = await gateway.row(order["id"])
    assert row["kitchen_seen_at"] is not None
    assert row["next_ask_at"] is None


async def test_the_kitchen_learns_the_whole_order_with_the_request_to_cancel(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    await gateway.cancel(order["id"])
    (ticket,) = kitchen.tickets
    assert [(step.status, step.version) for step in ticket.earlier] == [("PENDING", 1), ("STOCK_VERIFIED", 2)]
    assert (ticket.student_id, [line.quantity for line in ticket.lines]) == ("210041101", [1])


async def test_cancelling_in_parallel_cancels_once(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    answers = await asyncio.gather(*(gateway.cancel(order["id"]) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    await until(lambda: is_released(gateway, order["id"]))
    assert len(stock.released) == 1


async def test_an_order_that_is_being_cooked_stays_and_its_new_state_is_known_at_once(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    kitchen.begun.add(UUID(order["id"]))
    answer = await gateway.cancel(order["id"])
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/too-late-to-cancel")
    assert await gateway.status(order["id"]) == "IN_KITCHEN"
    assert stock.released == {}


async def test_a_rejected_order_is_not_cancelled(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    refusal = await gateway.order({new_id(): 1})
    answer = await gateway.cancel(refusal.json()["order_id"])
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/too-late-to-cancel")
    assert kitchen.request_count == 0


async def test_another_students_order_is_not_there_to_cancel(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    assert (await gateway.cancel(order["id"], student="210041102")).status_code == 404
    assert (await gateway.cancel(str(new_id()))).status_code == 404
    assert kitchen.request_count == 0


async def test_while_the_kitchen_does_not_answer_a_cancel_is_unknown_and_the_order_stays(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    kitchen.stop_answering()
    answer = await gateway.cancel(order["id"])
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert answer.headers["Retry-After"]
    assert await gateway.status(order["id"]) == "STOCK_VERIFIED"
    kitchen.resume_answering()
    await until(lambda: kitchen.cancelled)  # it had received the request
    assert (await gateway.cancel(order["id"])).status_code == 200


async def test_while_stock_does_not_answer_the_order_is_cancelled_and_is_released_after(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    stock.stop_answering()
    assert (await gateway.cancel(order["id"])).status_code == 200
    assert (await gateway.row(order["id"]))["released_at"] is None
    stock.resume_answering()
    await until(lambda: is_released(gateway, order["id"]))
    assert len(stock.released) == 1


async def test_a_pending_order_is_first_decided(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    item = stock.stock_up(10)
    stock.loses_replies = True
    order = (await gateway.order({item: 1})).json()
    assert order["status"] == "PENDING"
    stock.loses_replies = False
    answer = await gateway.cancel(order["id"])
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")


async def test_an_order_that_stock_cannot_decide_now_is_not_cancelled_now(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    item = stock.stock_up(10)
    stock.stop_answering()
    order = (await gateway.order({item: 1})).json()
    answer = await gateway.cancel(order["id"])
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/order-undecided")
    assert kitchen.request_count == 0


async def test_the_kitchens_event_after_the_answer_changes_nothing(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    cancelled = await gateway.cancel(order["id"])
    await until(lambda: is_released(gateway, order["id"]))
    before = dict(await gateway.row(order["id"]))
    await kitchen.publish_status(order, OrderStatus.CANCELLED, student_id="210041101")
    await until(gateway.has_read_all)
    assert dict(await gateway.row(order["id"])) == before
    assert (await gateway.cancel(order["id"])).content == cancelled.content


async def test_a_refusal_whose_event_comes_after_the_answer_to_a_cancel_names_the_kitchen(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    kitchen.refused.add(UUID(order["id"]))
    answer = await gateway.cancel(order["id"])
    assert (answer.status_code, answer.json()["reason"]) == (200, "KITCHEN")
    await until(lambda: is_released(gateway, order["id"]))
    before = dict(await gateway.row(order["id"]))
    await publish_refusal(kitchen, order)
    await until(gateway.has_read_all)
    assert dict(await gateway.row(order["id"])) == before
    assert (await gateway.cancel(order["id"])).content == answer.content


@pytest.mark.usefixtures("long_deadlines")
async def test_a_refusal_whose_event_comes_before_the_answer_to_a_cancel_names_the_kitchen(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    kitchen.refused.add(UUID(order["id"]))
    kitchen.stop_answering()
    async with asyncio.TaskGroup() as group:
        cancelling = group.create_task(gateway.cancel(order["id"]))
        await until(lambda: kitchen.request_count)
        await publish_refusal(kitchen, order)
        await until(lambda: is_cancelled(gateway, order["id"]))
        kitchen.resume_answering()
    answer = cancelling.result()
    assert (answer.status_code, answer.json()["reason"]) == (200, "KITCHEN")
    await until(lambda: is_released(gateway, order["id"]))
    assert list(stock.released) == [UUID(order["id"])]


async def publish_refusal(kitchen: FakeKitchen, order: dict[str, Any]) -> None:
    await kitchen.publish_status(
        order, OrderStatus.CANCELLED, student_id="210041101", reason=RejectionReason.KITCHEN
    )


async def an_order(gateway: RunningGateway, stock: FakeStock) -> dict[str, Any]:
    answer = await gateway.order({stock.stock_up(10): 1})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def is_cancelled(gateway: RunningGateway, order_id: str) -> bool:
    return await gateway.status(order_id) == "CANCELLED"


async def is_released(gateway: RunningGateway, order_id: str) -> bool:
    return (await gateway.row(order_id))["released_at"] is not None
