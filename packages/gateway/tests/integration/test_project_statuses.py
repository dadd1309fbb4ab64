"""Project: events twice, out of order and unreadable."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest

from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.orders import OrderStatusChanged, OrderStatusesChanged
from cafeteria.contracts.values import OrderStatus, RejectionReason
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import BrokenStack, FakeKitchen, FakeStock, RunningGateway


STUDENT = "210041101"


async def test_events_twice_and_out_of_order_leave_the_highest_state(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    for status in (
        OrderStatus.READY,
        OrderStatus.IN_KITCHEN,
        OrderStatus.READY,
        OrderStatus.COLLECTED,
        OrderStatus.IN_KITCHEN,
    ):
        await kitchen.publish_status(order, status, student_id=STUDENT)
    await until(gateway.has_read_all)
    row = await gateway.row(order["id"])
    assert (row["status"], row["version"]) == ("COLLECTED", 5)
    assert row["kitchen_seen_at"] is not None
    times = msgspec.json.decode(row["status_times"])
    assert {"PENDING", "STOCK_VERIFIED", "COLLECTED"} <= times.keys()


async def test_after_the_kitchens_first_event_the_gateway_stops_reconciling_delivery(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    assert (await gateway.row(order["id"]))["next_check_at"] is not None
    await kitchen.publish_status(order, OrderStatus.IN_KITCHEN, student_id=STUDENT)
    await until(gateway.has_read_all)
    assert (await gateway.row(order["id"]))["next_check_at"] is None


@pytest.mark.usefixtures("long_deadlines")
async def test_many_events_are_projected_in_batches(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    item = stock.stock_up(1_000)
    orders = [
        answer.json() for answer in await asyncio.gather(*(gateway.order({item: 1}) for _ in range(100)))
    ]
    for status in (OrderStatus.IN_KITCHEN, OrderStatus.READY):
        await asyncio.gather(*(kitchen.publish_status(order, status, student_id=STUDENT) for order in orders))
    await until(gateway.has_read_all)
    states = await gateway.admin_database.fetch("SELECT DISTINCT status FROM gateway.orders")
    assert [row["status"] for row in states] == ["READY"]


async def test_an_order_that_has_ended_does_not_change_again(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    refused = (await gateway.order({new_id(): 1})).json()["order_id"]
    await kitchen.publish_status({"id": refused}, OrderStatus.READY, student_id=STUDENT)
    await until(gateway.has_read_all)
    assert await gateway.status(refused) == "REJECTED"


async def test_a_pending_row_from_a_backup_follows_the_kitchen_and_its_repeat_is_answered(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen, broken_stack: BrokenStack
) -> None:
    item = stock.stock_up(1)
    pending = await broken_stack.received({item: 1})
    await broken_stack.change(pending, "next_ask_at = now() + interval '1 hour'")
    order = {"id": str(pending.id)}
    await kitchen.publish_status(order, OrderStatus.READY, student_id=STUDENT)
    await until(gateway.has_read_all)
    assert await gateway.status(order["id"]) == "READY"
    repeat = await gateway.order({item: 1}, key="k")
    assert (repeat.status_code, repeat.json()["status"]) == (201, "READY")


async def test_an_unreadable_event_is_kept_for_a_person_and_its_neighbours_are_taken(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    await kitchen.publish_raw(b'{"order_id": "poison"}')
    await kitchen.publish_status(order, OrderStatus.READY, student_id=STUDENT)
    await until(gateway.has_read_all)
    assert await gateway.status(order["id"]) == "READY"
    (letter,) = await gateway.admin_database.fetch("SELECT * FROM gateway.dead_letters")
    assert (letter["stream"], letter["body"]) == ("NOTIFICATION", b'{"order_id": "poison"}')


async def test_an_order_that_the_kitchen_refuses_ends_with_that_reason_and_is_released_once(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    for _ in range(2):
        await kitchen.publish_raw(message_of(refused(order["id"])))
    await until(lambda: has_ended(gateway, order["id"]))
    shown = (await gateway.web.get(f"/v1/orders/{order['id']}", headers=gateway.headers(STUDENT))).json()
    assert (shown["status"], shown["version"], shown["reason"]) == ("CANCELLED", 3, "KITCHEN")
    assert list(stock.released) == [UUID(order["id"])]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": OrderStatus.REJECTED, "version": 2, "reason": RejectionReason.EXPIRED},
        {"reason": RejectionReason.OUT_OF_STOCK},
        {"status": OrderStatus.IN_KITCHEN},
    ],
    ids=["another's state", "another's reason", "a reason while it cooks"],
)
async def test_an_event_that_the_kitchen_may_not_publish_changes_nothing(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen, changes: dict[str, Any]
) -> None:
    order = await an_order(gateway, stock)
    event = msgspec.structs.replace(refused(order["id"]), **changes)
    await kitchen.publish_raw(message_of(event))
    await until(gateway.has_read_all)
    assert await gateway.status(order["id"]) == "STOCK_VERIFIED"


def message_of(event: OrderStatusChanged) -> bytes:
    return msgspec.json.encode(OrderStatusesChanged(events=(event,)))


def refused(order_id: str) -> OrderStatusChanged:
    return OrderStatusChanged(
        order_id=UUID(order_id),
        student_id=STUDENT,
        status=OrderStatus.CANCELLED,
        version=3,
        at=now(),
        reason=RejectionReason.KITCHEN,
    )


async def has_ended(gateway: RunningGateway, order_id: str) -> bool:
    return (await gateway.row(order_id))["released_at"] is not None


async def an_order(gateway: RunningGateway, stock: FakeStock) -> dict[str, Any]:
    answer = await gateway.order({stock.stock_up(10): 1})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())
