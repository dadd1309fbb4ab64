"""The limits of one student, over HTTP, against real servers: who is refused, who is not, and what a refusal leaves."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.values import OrderStatus
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import FakeKitchen, FakeStock, LosesConnection, OpenGateway, RunningGateway


STUDENT = "210041101"
NEIGHBOURS = [str(210041200 + number) for number in range(20)]


async def test_an_order_above_the_limit_of_open_orders_is_refused_and_leaves_nothing(
    open_gateway: OpenGateway, stock: FakeStock
) -> None:
    gateway, item = await open_gateway(open_orders=2), stock.stock_up(100)
    accepted = [await gateway.order({item: 1}, key=key) for key in ("one", "two")]
    refused = await gateway.order({item: 1}, key="three")
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/limit-reached")
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["Retry-After"]) > 0
    assert "2 open orders" in refused.json()["detail"]
    assert (await gateway.count("orders"), await gateway.count("idempotency_keys")) == (2, 2)
    assert stock.portions[item] == 98
    for key, first in zip(("one", "two"), accepted, strict=True):
        again = await gateway.order({item: 1}, key=key)
        assert (again.status_code, again.content) == (201, first.content)
    assert (await gateway.order({item: 2}, key="two")).status_code == 422
    assert "cafeteria_gateway_limit_reached_total 1.0" in (await gateway.web.get("/metrics")).text


@pytest.mark.parametrize("ending", ["ready", "cancelled", "rejected"])
async def test_an_order_that_is_ready_or_has_ended_frees_its_place_for_the_refused_key(
    open_gateway: OpenGateway, stock: FakeStock, kitchen: FakeKitchen, ending: str
) -> None:
    gateway, item = await open_gateway(open_orders=1), stock.stock_up(100)
    if ending == "rejected":
        assert (await gateway.order({stock.stock_up(0): 1})).status_code == 409
    else:
        order = (await gateway.order({item: 1})).json()
        assert (await gateway.order({item: 1}, key="later")).status_code == 429
        await end(gateway, kitchen, order, ending)
    assert (await gateway.order({item: 1}, key="later")).status_code == 201


async def test_an_order_in_the_kitchen_is_open(
    open_gateway: OpenGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    gateway, item = await open_gateway(open_orders=1), stock.stock_up(100)
    order = (await gateway.order({item: 1})).json()
    await kitchen.publish_status(order, OrderStatus.IN_KITCHEN, student_id=STUDENT)
    await until(lambda: has_status(gateway, order["id"], "IN_KITCHEN"))
    assert (await gateway.order({item: 1})).status_code == 429


async def test_an_undecided_order_is_open_and_its_repeat_is_answered(
    open_gateway: OpenGateway, stock: FakeStock
) -> None:
    gateway, item = await open_gateway(open_orders=1), stock.stock_up(100)
    stock.stop_answering()
    first = await gateway.order({item: 1}, key="k")
    assert first.status_code == 202
    assert (await gateway.order({item: 1})).status_code == 429
    stock.resume_answering()
    again = await gateway.order({item: 1}, key="k")
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])


async def test_portions_of_an_item_are_counted_for_an_hour_and_a_cancelled_order_gives_its_own_back(
    open_gateway: OpenGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    gateway = await open_gateway(portions_per_hour=25)
    item, other = stock.stock_up(100), stock.stock_up(100)
    old, cancelled = [(await gateway.order({item: count})).json() for count in (5, 20)]
    refused = await gateway.order({item: 6, other: 1}, key="k")
    assert (refused.status_code, refused.json()["item_ids"]) == (429, [str(item)])
    assert "25 portions" in refused.json()["detail"]
    assert 3500 < int(refused.headers["Retry-After"]) <= 3600
    assert (await gateway.order({other: 20})).status_code == 201
    await end(gateway, kitchen, cancelled, "cancelled")
    assert (await gateway.order({item: 6}, key="k")).status_code == 201
    assert (await gateway.order({item: 15})).status_code == 429
    await age(gateway, old["id"], timedelta(minutes=61))
    assert (await gateway.order({item: 15})).status_code == 201


async def test_the_portions_of_a_ready_order_count_and_those_of_a_rejected_one_do_not(
    open_gateway: OpenGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    gateway, item = await open_gateway(portions_per_hour=10), stock.stock_up(5)
    assert (await gateway.order({item: 10})).status_code == 409
    order = (await gateway.order({item: 5})).json()
    stock.portions[item] = 100
    await end(gateway, kitchen, order, "ready")
    assert (await gateway.order({item: 6})).status_code == 429
    assert (await gateway.order({item: 5})).status_code == 201


@pytest.mark.usefixtures("long_deadlines")
async def test_orders_of_one_batch_are_judged_against_each_other_and_neighbours_are_not_touched(
    open_gateway: OpenGateway, stock: FakeStock
) -> None:
    gateway, item = await open_gateway(open_orders=5, portions_per_hour=40), stock.stock_up(1000)
    buying_out = [gateway.order({item: 8}) for _ in range(40)]
    others = [gateway.order({item: 1}, student=student) for student in NEIGHBOURS for _ in range(2)]
    answers = await asyncio.gather(*(each for pair in zip(buying_out, others, strict=True) for each in pair))
    assert Counter(answer.status_code for answer in answers[::2]) == {201: 5, 429: 35}
    assert {answer.status_code for answer in answers[1::2]} == {201}
    assert (await gateway.count("orders"), stock.portions[item]) == (45, 1000 - 40 - 40)


@pytest.mark.usefixtures("long_deadlines")
async def test_parallel_repeats_of_one_key_at_the_limit_all_get_the_one_order(
    open_gateway: OpenGateway, stock: FakeStock
) -> None:
    one, other = await open_gateway(open_orders=1), await open_gateway(open_orders=1)
    item = stock.stock_up(100)
    answers = await asyncio.gather(
        *(gateway.order({item: 1}, key="iftar-1") for gateway in (one, other) for _ in range(25))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert [(await each.order({item: 1}, key="another")).status_code for each in (one, other)] == [429, 429]
    assert (await one.count("orders"), stock.portions[item]) == (1, 99)


@pytest.mark.usefixtures("long_deadlines")
async def test_two_gateways_accept_at_most_a_limit_each_and_then_both_refuse(
    open_gateway: OpenGateway, stock: FakeStock
) -> None:
    one, other = await open_gateway(open_orders=5), await open_gateway(open_orders=5)
    item = stock.stock_up(100)
    answers = await asyncio.gather(*(each.order({item: 1}) for each in (one, other) for _ in range(20)))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses.keys() == {201, 429}
    assert 5 <= statuses[201] <= 10
    assert [(await each.order({item: 1})).status_code for each in (one, other)] == [429, 429]


async def test_an_order_whose_commit_had_an_unknown_outcome_is_not_taken_for_another_one_at_the_limit(
    open_gateway: OpenGateway, stock: FakeStock, loses_connection: type[LosesConnection]
) -> None:
    gateway, item = await open_gateway(open_orders=1), stock.stock_up(10)
    receive_orders = gateway.service.receive_orders
    receive_orders._database = loses_connection(receive_orders._database, times=1, is_committed=True)
    assert (await gateway.order({item: 1}, key="k")).status_code == 201
    assert (await gateway.order({item: 1})).status_code == 429
    assert await gateway.count("orders") == 1


@pytest.mark.parametrize(
    ("settings", "statements"), [({}, 1), ({"open_orders": 5, "portions_per_hour": 40}, 2)]
)
async def test_receiving_is_one_statement_a_batch_without_limits_and_two_with_them(
    open_gateway: OpenGateway,
    stock: FakeStock,
    placing: Any,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, int],
    statements: int,
) -> None:
    gateway, item = await open_gateway(**settings), stock.stock_up(100)
    receiving = gateway.service.receive_orders
    monkeypatch.setattr(receiving._settle_orders, "request", lambda new: [None] * len(new))
    sent: list[Statement] = []
    rows, receiver = Statement.rows, asyncio.current_task()

    async def count(statement: Statement, *arguments: Any) -> Any:
        if asyncio.current_task() is receiver:
            sent.append(statement)
        return await rows(statement, *arguments)

    monkeypatch.setattr(Statement, "rows", count)
    receipts = await receiving._commit([placing({item: 1}) for _ in range(5)])
    assert [receipt.order is not None for receipt in receipts] == [True] * 5
    assert len(sent) == statements


async def end(gateway: RunningGateway, kitchen: FakeKitchen, order: dict[str, Any], ending: str) -> None:
    if ending == "cancelled":
        answer: httpx.Response = await gateway.cancel(order["id"])
        assert answer.status_code == 200, answer.text
        return
    await kitchen.publish_status(order, OrderStatus.READY, student_id=STUDENT)
    await until(lambda: has_status(gateway, order["id"], "READY"))


async def age(gateway: RunningGateway, order_id: str, by: timedelta) -> None:
    await gateway.admin_database.execute(
        "UPDATE gateway.orders SET created_at = created_at - $2::interval WHERE id = $1", UUID(order_id), by
    )


async def has_status(gateway: RunningGateway, order_id: str, status: str) -> bool:
    return bool(await gateway.status(order_id) == status)
