"""What was taken comes back once; what was never taken can never be taken afterwards."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.stock import Decision, ReserveStock
from cafeteria.contracts.values import RejectionReason

if TYPE_CHECKING:
    from conftest import Stock


async def test_a_release_gives_the_portions_back_and_leaves_the_decision(stock: Stock) -> None:
    haleem, jilapi = await stock.stock_up(5), await stock.stock_up(5)
    order = stock.order({haleem: 2, jilapi: 1})
    decided = await stock.reserve(order)

    released = await stock.release(order.order_id)

    assert released.order_id == order.order_id
    assert (await stock.quantity(haleem), await stock.quantity(jilapi)) == (5, 5)
    assert await stock.ledger_of(order.order_id) == [
        ("DEDUCT", 2),
        ("DEDUCT", 1),
        ("RELEASE", -2),
        ("RELEASE", -1),
    ]
    assert await stock.reserve(order) == decided
    await stock.check_balance()


async def test_parallel_repeats_release_once_and_answer_the_same_moment(two_stocks: Stock) -> None:
    haleem = await two_stocks.stock_up(5)
    order = two_stocks.order({haleem: 2})
    await two_stocks.reserve(order)

    answers = await asyncio.gather(*(two_stocks.release(order.order_id) for _ in range(40)))

    assert len({msgspec.json.encode(answer) for answer in answers}) == 1
    assert await two_stocks.release(order.order_id) == answers[0]
    assert await two_stocks.ledger_of(order.order_id) == [("DEDUCT", 2), ("RELEASE", -2)]
    assert await two_stocks.quantity(haleem) == 5
    await two_stocks.check_balance()


async def test_an_order_released_before_it_arrives_is_refused_when_it_does(stock: Stock) -> None:
    haleem = await stock.stock_up(5)
    order = stock.order({haleem: 2})

    released = await stock.release(order.order_id)
    late = await stock.reserve(order)

    assert (late.decision, late.reason) == (Decision.REJECTED, RejectionReason.EXPIRED)
    assert await stock.release(order.order_id) == released
    assert await stock.ledger_of(order.order_id) == []
    assert await stock.quantity(haleem) == 5


async def test_a_refused_order_has_nothing_to_give_back(stock: Stock) -> None:
    haleem = await stock.stock_up(1)
    order = stock.order({haleem: 2})
    refused = await stock.reserve(order)

    first = await stock.release(order.order_id)

    assert await stock.release(order.order_id) == first
    assert await stock.reserve(order) == refused
    assert await stock.ledger_of(order.order_id) == []
    assert await stock.quantity(haleem) == 1
    await stock.check_balance()


async def test_what_came_back_can_be_sold_again(stock: Stock) -> None:
    haleem = await stock.stock_up(2)
    order = stock.order({haleem: 2})
    await stock.reserve(order)
    assert (await stock.reserve(stock.order({haleem: 1}))).decision is Decision.REJECTED
    await stock.release(order.order_id)

    assert (await stock.reserve(stock.order({haleem: 2}))).decision is Decision.RESERVED
    await stock.check_balance()


async def test_reserve_and_release_side_by_side_keep_the_ledger_balanced_at_every_commit(
    two_stocks: Stock,
) -> None:
    haleem, jilapi = await two_stocks.stock_up(60), await two_stocks.stock_up(60)
    orders = [two_stocks.order({haleem: 1, jilapi: 2}, order_id=new_id()) for _ in range(120)]
    racing = True

    async def watch() -> int:
        looks = 0
        while racing:
            await two_stocks.check_balance()
            looks += 1
        return looks

    async def race(order: ReserveStock) -> None:
        await asyncio.gather(
            two_stocks.reserve(order),
            two_stocks.release(order.order_id),
            two_stocks.reserve(order),
            two_stocks.release(order.order_id),
        )

    watching = asyncio.create_task(watch())
    await asyncio.gather(*map(race, orders))
    racing = False

    assert await watching > 0
    assert (await two_stocks.quantity(haleem), await two_stocks.quantity(jilapi)) == (60, 60)
    left = await two_stocks.admin.fetchval("""
        SELECT count(*) FROM (SELECT order_id, item_id FROM stock.stock_transactions
            GROUP BY order_id, item_id HAVING sum(quantity_deducted) <> 0) AS unbalanced
    """)
    assert left == 0
    assert await two_stocks.admin.fetchval(
        "SELECT count(*) FROM stock.reservations WHERE released_at IS NOT NULL"
    ) == len(orders)
    await two_stocks.check_balance()
