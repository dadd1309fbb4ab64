"""Check delivery: the kitchen learns which of its status events are missing at the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.values import OrderStatus, OrderVersion
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import FakeKitchen, FakeStock, RunningGateway


STUDENT = "210041101"


async def test_the_kitchen_learns_which_versions_are_missing(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    order = await an_order(gateway, stock)
    await kitchen.publish_status(order, OrderStatus.IN_KITCHEN, student_id=STUDENT)
    await until(gateway.has_read_all)
    known = OrderVersion(order_id=UUID(order["id"]), version=3)
    later = OrderVersion(order_id=UUID(order["id"]), version=4)
    stranger = OrderVersion(order_id=new_id(), version=3)
    answer = await kitchen.ask_gateway(known, later, stranger)
    assert (set(answer.missing), answer.behind) == ({later, stranger}, False)


async def an_order(gateway: RunningGateway, stock: FakeStock) -> dict[str, Any]:
    answer = await gateway.order({stock.stock_up(10): 1})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())
