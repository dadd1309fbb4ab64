"""Each order has one decision for ever, however often and on however many replicas it is requested."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.stock import MAX_AGE_MS, Decision, ItemPrice
from cafeteria.contracts.values import RejectionReason

if TYPE_CHECKING:
    from conftest import Stock


YEARS_MS = 10 * 366 * 86_400_000


async def test_an_order_takes_its_portions_at_the_price_of_the_moment(stock: Stock) -> None:
    haleem = await stock.stock_up(5, name="Haleem", price="120.50")
    jilapi = await stock.stock_up(9, name="Jilapi", price="15.00")
    order = stock.order({haleem: 2, jilapi: 3})

    answer = await stock.reserve(order)

    assert answer.decision is Decision.RESERVED
    assert answer.items == (
        ItemPrice(item_id=haleem, name="Haleem", unit_price=Decimal("120.50")),
        ItemPrice(item_id=jilapi, name="Jilapi", unit_price=Decimal("15.00")),
    )
    assert (await stock.quantity(haleem), await stock.quantity(jilapi)) == (3, 6)
    await stock.check_balance()


async def test_a_repeat_gets_the_same_answer_after_everything_has_changed(stock: Stock) -> None:
    haleem = await stock.stock_up(2)
    order = stock.order({haleem: 2})
    first = await stock.reserve(order)
    await stock.change(haleem, name="Old haleem", price="1.00", on_sale=False)

    repeat = await stock.reserve(msgspec.structs.replace(order, age_ms=YEARS_MS))

    assert msgspec.json.encode(repeat) == msgspec.json.encode(first)
    assert await stock.ledger_of(order.order_id) == [("DEDUCT", 2)]


async def test_a_refusal_stays_after_a_restock(stock: Stock) -> None:
    haleem = await stock.stock_up(1)
    order = stock.order({haleem: 2})
    refused = await stock.reserve(order)
    await stock.web.post(f"/v1/items/{haleem}/restock", json={"quantity": 50})

    assert (refused.decision, refused.reason) == (Decision.REJECTED, RejectionReason.OUT_OF_STOCK)
    assert refused.refused_item_ids == (haleem,)
    assert await stock.reserve(order) == refused
    assert await stock.quantity(haleem) == 51
    await stock.check_balance()


async def test_an_order_that_cannot_be_had_whole_takes_nothing(stock: Stock) -> None:
    there, short = await stock.stock_up(5), await stock.stock_up(1)
    off_sale, nowhere = await stock.stock_up(5), new_id()
    await stock.change(off_sale, on_sale=False)

    out = await stock.reserve(stock.order({there: 1, short: 2, off_sale: 1}))
    unknown = await stock.reserve(stock.order({there: 1, nowhere: 1}))

    assert (out.reason, out.refused_item_ids) == (RejectionReason.OUT_OF_STOCK, (short, off_sale))
    assert (unknown.reason, unknown.refused_item_ids) == (RejectionReason.UNKNOWN_ITEM, (nowhere,))
    assert await stock.quantity(there) == 5
    await stock.check_balance()


async def test_an_order_that_comes_too_late_is_refused_for_ever(stock: Stock) -> None:
    haleem = await stock.stock_up(5)
    late = stock.order({haleem: 1}, age_ms=MAX_AGE_MS + 1)
    again = stock.order({haleem: 1}, order_id=late.order_id)

    assert (await stock.reserve(late)).reason is RejectionReason.EXPIRED
    assert (await stock.reserve(again)).reason is RejectionReason.EXPIRED
    assert await stock.quantity(haleem) == 5


async def test_fifty_parallel_repeats_are_one_decision_and_one_deduction(two_stocks: Stock) -> None:
    haleem = await two_stocks.stock_up(100)
    order = two_stocks.order({haleem: 3})

    answers = await asyncio.gather(*(two_stocks.reserve(order) for _ in range(50)))

    assert len({msgspec.json.encode(answer) for answer in answers}) == 1
    assert answers[0].decision is Decision.RESERVED
    assert await two_stocks.ledger_of(order.order_id) == [("DEDUCT", 3)]
    assert await two_stocks.quantity(haleem) == 97
    await two_stocks.check_balance()


async def test_an_impossible_request_fails_alone(stock: Stock) -> None:
    haleem = await stock.stock_up(100)
    good = stock.order({haleem: 1})
    empty = stock.order({})
    twice = msgspec.structs.replace(good, order_id=new_id(), lines=good.lines * 2)

    answers = await asyncio.gather(
        *(stock.reserve(each) for each in (good, empty, stock.order({haleem: 2}), twice)),
        return_exceptions=True,
    )

    assert [type(each).__name__ for each in answers] == [
        "StockDecided",
        "Undecided",
        "StockDecided",
        "Undecided",
    ]
    assert await stock.quantity(haleem) == 97
    await stock.check_balance()


async def test_a_row_that_the_database_refuses_fails_alone(stock: Stock) -> None:
    """For any reason: the batch is halved until the bad row is alone."""
    haleem = await stock.stock_up(100)
    orders = [stock.order({haleem: 1}) for _ in range(30)]
    bad = orders[13]
    await stock.admin.execute(f"""
        ALTER TABLE stock.reservations ADD CONSTRAINT poison CHECK (order_id <> '{bad.order_id}')
    """)
    try:
        answers = await asyncio.gather(*map(stock.reserve, orders), return_exceptions=True)
    finally:
        await stock.admin.execute("ALTER TABLE stock.reservations DROP CONSTRAINT poison")

    failed = [
        each.order_id for each, answer in zip(orders, answers, strict=True) if isinstance(answer, Exception)
    ]
    assert failed == [bad.order_id]
    assert await stock.quantity(haleem) == 71
    await stock.check_balance()
    assert type(answers[13]).__name__ == "Undecided"
    assert (await stock.reserve(bad)).decision is Decision.RESERVED
