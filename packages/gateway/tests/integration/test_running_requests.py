"""A caller awaits an order's running request to stock, and sends one alone if that ends without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from cafeteria.gateway.domain import Placing
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import FakeKitchen, FakeStock, RunningGateway


_ONLY_REPEATS_ASK = "UPDATE gateway.orders SET next_ask_at = now() + interval '1 hour'"


@pytest.mark.usefixtures("long_deadlines")
async def test_a_repeat_joins_the_running_request(gateway: RunningGateway, stock: FakeStock) -> None:
    item = stock.stock_up(10)
    first = await begin_order(gateway, stock, item)
    repeat = asyncio.create_task(gateway.order({item: 1}, key="k"))
    await until(lambda: has_joined(gateway, callers=2))
    stock.resume_answering()
    answers = await asyncio.gather(first, repeat)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert stock.request_count == 1


@pytest.mark.usefixtures("long_deadlines")
async def test_a_repeat_whose_joined_request_gets_no_answer_asks_alone(
    gateway: RunningGateway, stock: FakeStock, placing: Callable[..., Placing]
) -> None:
    item = stock.stock_up(10)
    stock.stop_answering()
    stock.is_away_for = 1
    placings = [placing({item: 1}) for _ in range(3)]
    place_order = gateway.service.place_order
    first = asyncio.gather(*map(place_order, placings))
    await until(lambda: stock.request_count)
    repeats = [asyncio.create_task(place_order(placings[0])) for _ in range(5)]
    await until(lambda: has_joined(gateway, callers=6))
    stock.resume_answering()
    assert [placed.status for placed in await first] == [202, 202, 202]
    assert {placed.status for placed in await asyncio.gather(*repeats)} == {201}
    assert [len(asked) for asked in stock.asked] == [3, 1]


@pytest.mark.usefixtures("long_deadlines")
async def test_a_cancel_of_a_pending_order_joins_its_request(
    gateway: RunningGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    item = stock.stock_up(10)
    first = await begin_order(gateway, stock, item)
    order_id = str(await gateway.admin_database.fetchval("SELECT id FROM gateway.orders"))
    cancelling = asyncio.create_task(gateway.cancel(order_id))
    await until(lambda: has_joined(gateway, callers=2))
    stock.resume_answering()
    assert (await first).status_code == 201
    assert (await cancelling).json()["status"] == "CANCELLED"
    assert [len(asked) for asked in stock.asked] == [1]


@pytest.mark.usefixtures("long_deadlines")
async def test_retry_pending_leaves_orders_whose_request_runs_to_it(
    gateway: RunningGateway, stock: FakeStock
) -> None:
    item = stock.stock_up(10)
    first = await begin_order(gateway, stock, item)
    await gateway.admin_database.execute("UPDATE gateway.orders SET next_ask_at = now()")
    await until(lambda: has_been_claimed(gateway))
    stock.resume_answering()
    assert (await first).status_code == 201
    assert stock.request_count == 1


async def test_every_answer_to_a_key_shows_the_date_that_the_database_has_given(
    gateway: RunningGateway, stock: FakeStock
) -> None:
    item = stock.stock_up(10)
    stock.loses_replies = True
    pending = [await gateway.order({item: 1}, key="k")]
    await gateway.admin_database.execute(_ONLY_REPEATS_ASK)
    pending.append(await gateway.order({item: 1}, key="k"))
    assert [answer.status_code for answer in pending] == [202, 202]
    assert pending[0].content == pending[1].content
    stock.loses_replies = False
    final = [await gateway.order({item: 1}, key="k") for _ in range(2)]
    assert [answer.status_code for answer in final] == [201, 201]
    assert final[0].content == final[1].content
    assert final[0].json()["created_at"] == pending[0].json()["created_at"]


async def begin_order(gateway: RunningGateway, stock: FakeStock, item: UUID) -> asyncio.Task[Any]:
    """Start an order; stock has its request and does not answer yet."""
    stock.stop_answering()
    ordering = asyncio.create_task(gateway.order({item: 1}, key="k"))
    await until(lambda: stock.request_count)
    return ordering


def has_joined(gateway: RunningGateway, *, callers: int) -> bool:
    requests = gateway.service.settle_orders._running.values()
    return any(len(request._callbacks or ()) == callers for request in requests)


async def has_been_claimed(gateway: RunningGateway) -> bool:
    return bool(await gateway.admin_database.fetchval("SELECT next_ask_at > now() FROM gateway.orders"))
