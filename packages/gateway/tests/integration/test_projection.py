"""Following the kitchen: events twice, out of order, unreadable, and what the kitchen may ask about them."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest

from cafeteria.chassis.clock import now
from cafeteria.chassis.ids import new_id
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.values import OrderStatus, OrderVersion

STUDENT = "210041101"


async def test_events_twice_and_out_of_order_leave_the_highest_state(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    order = await an_order(counter, stock)
    for status in (
        OrderStatus.READY,
        OrderStatus.IN_KITCHEN,
        OrderStatus.READY,
        OrderStatus.COLLECTED,
        OrderStatus.IN_KITCHEN,
    ):
        await kitchen.say(order, status, student_id=STUDENT)
    await wait_until(counter.has_read_all)
    row = await counter.row(order["id"])
    assert (row["status"], row["version"]) == ("COLLECTED", 5)
    assert row["kitchen_seen_at"] is not None
    times = msgspec.json.decode(row["status_times"])
    assert {"PENDING", "STOCK_VERIFIED", "COLLECTED"} <= times.keys()


async def test_once_the_kitchen_has_spoken_it_asks_after_the_gateways_news_too(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    order = await an_order(counter, stock)
    assert (await counter.row(order["id"]))["next_check_at"] is not None
    await kitchen.say(order, OrderStatus.IN_KITCHEN, student_id=STUDENT)
    await wait_until(counter.has_read_all)
    assert (await counter.row(order["id"]))["next_check_at"] is None


@pytest.mark.usefixtures("patient")
async def test_a_rush_of_events_is_projected_in_batches(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    item = stock.stock_up(1_000)
    orders = [
        answer.json() for answer in await asyncio.gather(*(counter.order({item: 1}) for _ in range(100)))
    ]
    for status in (OrderStatus.IN_KITCHEN, OrderStatus.READY):
        await asyncio.gather(*(kitchen.say(order, status, student_id=STUDENT) for order in orders))
    await wait_until(counter.has_read_all)
    states = await counter.books.fetch("SELECT DISTINCT status FROM gateway.orders")
    assert [row["status"] for row in states] == ["READY"]


async def test_what_has_ended_does_not_move_again(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    refused = (await counter.order({new_id(): 1})).json()["order_id"]
    await kitchen.say({"id": refused}, OrderStatus.READY, student_id=STUDENT)
    await wait_until(counter.has_read_all)
    assert await counter.status(refused) == "REJECTED"


async def test_a_pending_row_from_a_backup_follows_the_kitchen_and_its_repeat_is_answered(
    counter: Any, stock: Any, kitchen: Any, wreck: Any, wait_until: Any
) -> None:
    item = stock.stock_up(1)
    pending = await wreck.received({item: 1})
    await wreck.change(pending, "next_ask_at = now() + interval '1 hour'")
    order = {"id": str(pending.id)}
    await kitchen.say(order, OrderStatus.READY, student_id=STUDENT)
    await wait_until(counter.has_read_all)
    assert await counter.status(order["id"]) == "READY"
    repeat = await counter.order({item: 1}, key="k")
    assert (repeat.status_code, repeat.json()["status"]) == (201, "READY")


async def test_an_unreadable_event_is_kept_for_a_person_and_its_neighbours_are_taken(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    order = await an_order(counter, stock)
    await kitchen.say_raw(b'{"order_id": "poison"}')
    await kitchen.say(order, OrderStatus.READY, student_id=STUDENT)
    await wait_until(counter.has_read_all)
    assert await counter.status(order["id"]) == "READY"
    (letter,) = await counter.books.fetch("SELECT * FROM gateway.dead_letters")
    assert (letter["stream"], letter["body"]) == ("NOTIFICATION", b'{"order_id": "poison"}')


async def test_an_event_that_is_not_the_kitchens_to_say_changes_nothing(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    order = await an_order(counter, stock)
    event = OrderStatusChanged(
        order_id=UUID(order["id"]),
        student_id=STUDENT,
        status=OrderStatus.REJECTED,
        version=9,
        at=now(),
    )
    await kitchen.say_raw(msgspec.json.encode(event))
    await wait_until(counter.has_read_all)
    assert await counter.status(order["id"]) == "STOCK_VERIFIED"


async def test_the_kitchen_is_told_which_versions_are_missing(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    order = await an_order(counter, stock)
    await kitchen.say(order, OrderStatus.IN_KITCHEN, student_id=STUDENT)
    await wait_until(counter.has_read_all)
    known = OrderVersion(order_id=UUID(order["id"]), version=3)
    later = OrderVersion(order_id=UUID(order["id"]), version=4)
    stranger = OrderVersion(order_id=new_id(), version=3)
    answer = await kitchen.ask_gateway(known, later, stranger)
    assert (set(answer.missing), answer.behind) == ({later, stranger}, False)


async def an_order(counter: Any, stock: Any) -> dict[str, Any]:
    answer = await counter.order({stock.stock_up(10): 1})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())
