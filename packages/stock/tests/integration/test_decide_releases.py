"""What was taken comes back once; what was never taken can never be taken afterwards."""

import asyncio
from typing import Any

import msgspec

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.stock import Decision
from cafeteria.contracts.values import RejectionReason


async def test_a_release_gives_the_portions_back_and_leaves_the_decision(canteen: Any) -> None:
    haleem, jilapi = await canteen.stock_up(5), await canteen.stock_up(5)
    order = canteen.order({haleem: 2, jilapi: 1})
    decided = await canteen.reserve(order)

    released = await canteen.release(order.order_id)

    assert released.order_id == order.order_id
    assert (await canteen.quantity(haleem), await canteen.quantity(jilapi)) == (5, 5)
    assert await canteen.ledger_of(order.order_id) == [
        ("DEDUCT", 2),
        ("DEDUCT", 1),
        ("RELEASE", -2),
        ("RELEASE", -1),
    ]
    assert await canteen.reserve(order) == decided
    await canteen.check_books()


async def test_parallel_repeats_release_once_and_answer_the_same_moment(two_stocks: Any) -> None:
    haleem = await two_stocks.stock_up(5)
    order = two_stocks.order({haleem: 2})
    await two_stocks.reserve(order)

    answers = await asyncio.gather(*(two_stocks.release(order.order_id) for _ in range(40)))

    assert len({msgspec.json.encode(answer) for answer in answers}) == 1
    assert await two_stocks.release(order.order_id) == answers[0]
    assert await two_stocks.ledger_of(order.order_id) == [("DEDUCT", 2), ("RELEASE", -2)]
    assert await two_stocks.quantity(haleem) == 5
    await two_stocks.check_books()


async def test_an_order_released_before_it_arrives_is_refused_when_it_does(canteen: Any) -> None:
    haleem = await canteen.stock_up(5)
    order = canteen.order({haleem: 2})

    released = await canteen.release(order.order_id)
    late = await canteen.reserve(order)

    assert (late.decision, late.reason) == (Decision.REJECTED, RejectionReason.EXPIRED)
    assert await canteen.release(order.order_id) == released
    assert await canteen.ledger_of(order.order_id) == []
    assert await canteen.quantity(haleem) == 5


async def test_a_refused_order_has_nothing_to_give_back(canteen: Any) -> None:
    haleem = await canteen.stock_up(1)
    order = canteen.order({haleem: 2})
    refused = await canteen.reserve(order)

    first = await canteen.release(order.order_id)

    assert await canteen.release(order.order_id) == first
    assert await canteen.reserve(order) == refused
    assert await canteen.ledger_of(order.order_id) == []
    assert await canteen.quantity(haleem) == 1
    await canteen.check_books()


async def test_what_came_back_can_be_sold_again(canteen: Any) -> None:
    haleem = await canteen.stock_up(2)
    order = canteen.order({haleem: 2})
    await canteen.reserve(order)
    assert (await canteen.reserve(canteen.order({haleem: 1}))).decision is Decision.REJECTED
    await canteen.release(order.order_id)

    assert (await canteen.reserve(canteen.order({haleem: 2}))).decision is Decision.RESERVED
    await canteen.check_books()


async def test_reserve_and_release_side_by_side_keep_the_books_balanced_at_every_commit(
    two_stocks: Any,
) -> None:
    haleem, jilapi = await two_stocks.stock_up(60), await two_stocks.stock_up(60)
    orders = [two_stocks.order({haleem: 1, jilapi: 2}, order_id=new_id()) for _ in range(120)]
    racing = True

    async def watch() -> int:
        looks = 0
        while racing:
            await two_stocks.check_books()
            looks += 1
        return looks

    async def race(order: Any) -> None:
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
    left = await two_stocks.books.fetchval("""
        SELECT count(*) FROM (SELECT order_id, item_id FROM stock.stock_transactions
            GROUP BY order_id, item_id HAVING sum(quantity_deducted) <> 0) AS unbalanced
    """)
    assert left == 0
    assert await two_stocks.books.fetchval(
        "SELECT count(*) FROM stock.reservations WHERE released_at IS NOT NULL"
    ) == len(orders)
    await two_stocks.check_books()
