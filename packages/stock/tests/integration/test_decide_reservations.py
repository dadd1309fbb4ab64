"""One decision per order for ever, whoever asks, however often, on however many replicas."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.stock import MAX_AGE_MS, Decision, ItemPrice
from cafeteria.contracts.values import RejectionReason

YEARS_MS = 10 * 366 * 86_400_000


async def test_an_order_takes_its_portions_at_the_price_of_the_moment(canteen: Any) -> None:
    haleem = await canteen.stock_up(5, name="Haleem", price="120.50")
    jilapi = await canteen.stock_up(9, name="Jilapi", price="15.00")
    order = canteen.order({haleem: 2, jilapi: 3})

    answer = await canteen.reserve(order)

    assert answer.decision is Decision.RESERVED
    assert answer.items == (
        ItemPrice(item_id=haleem, name="Haleem", unit_price=Decimal("120.50")),
        ItemPrice(item_id=jilapi, name="Jilapi", unit_price=Decimal("15.00")),
    )
    assert (await canteen.quantity(haleem), await canteen.quantity(jilapi)) == (3, 6)
    await canteen.check_books()


async def test_a_repeat_gets_the_same_answer_after_everything_has_changed(canteen: Any) -> None:
    haleem = await canteen.stock_up(2)
    order = canteen.order({haleem: 2})
    first = await canteen.reserve(order)
    await canteen.change(haleem, name="Old haleem", price="1.00", on_sale=False)

    repeat = await canteen.reserve(msgspec.structs.replace(order, age_ms=YEARS_MS))

    assert msgspec.json.encode(repeat) == msgspec.json.encode(first)
    assert await canteen.ledger_of(order.order_id) == [("DEDUCT", 2)]


async def test_a_refusal_stands_when_there_is_plenty_again(canteen: Any) -> None:
    haleem = await canteen.stock_up(1)
    order = canteen.order({haleem: 2})
    refused = await canteen.reserve(order)
    await canteen.web.post(f"/v1/items/{haleem}/restock", json={"quantity": 50})

    assert (refused.decision, refused.reason) == (Decision.REJECTED, RejectionReason.OUT_OF_STOCK)
    assert refused.refused_item_ids == (haleem,)
    assert await canteen.reserve(order) == refused
    assert await canteen.quantity(haleem) == 51
    await canteen.check_books()


async def test_an_order_that_cannot_be_had_whole_takes_nothing(canteen: Any) -> None:
    there, short = await canteen.stock_up(5), await canteen.stock_up(1)
    off_sale, nowhere = await canteen.stock_up(5), new_id()
    await canteen.change(off_sale, on_sale=False)

    out = await canteen.reserve(canteen.order({there: 1, short: 2, off_sale: 1}))
    unknown = await canteen.reserve(canteen.order({there: 1, nowhere: 1}))

    assert (out.reason, out.refused_item_ids) == (RejectionReason.OUT_OF_STOCK, (short, off_sale))
    assert (unknown.reason, unknown.refused_item_ids) == (RejectionReason.UNKNOWN_ITEM, (nowhere,))
    assert await canteen.quantity(there) == 5
    await canteen.check_books()


async def test_an_order_that_comes_too_late_is_refused_for_ever(canteen: Any) -> None:
    haleem = await canteen.stock_up(5)
    late = canteen.order({haleem: 1}, age_ms=MAX_AGE_MS + 1)
    again = canteen.order({haleem: 1}, order_id=late.order_id)

    assert (await canteen.reserve(late)).reason is RejectionReason.EXPIRED
    assert (await canteen.reserve(again)).reason is RejectionReason.EXPIRED
    assert await canteen.quantity(haleem) == 5


async def test_fifty_parallel_repeats_are_one_decision_and_one_deduction(two_stocks: Any) -> None:
    haleem = await two_stocks.stock_up(100)
    order = two_stocks.order({haleem: 3})

    answers = await asyncio.gather(*(two_stocks.reserve(order) for _ in range(50)))

    assert len({msgspec.json.encode(answer) for answer in answers}) == 1
    assert answers[0].decision is Decision.RESERVED
    assert await two_stocks.ledger_of(order.order_id) == [("DEDUCT", 3)]
    assert await two_stocks.quantity(haleem) == 97
    await two_stocks.check_books()


async def test_an_impossible_request_fails_alone(canteen: Any) -> None:
    haleem = await canteen.stock_up(100)
    good = canteen.order({haleem: 1})
    empty = canteen.order({})
    twice = msgspec.structs.replace(good, order_id=new_id(), lines=good.lines * 2)

    answers = await asyncio.gather(
        *(canteen.reserve(each) for each in (good, empty, canteen.order({haleem: 2}), twice)),
        return_exceptions=True,
    )

    assert [type(each).__name__ for each in answers] == [
        "StockDecided",
        "Undecided",
        "StockDecided",
        "Undecided",
    ]
    assert await canteen.quantity(haleem) == 97
    await canteen.check_books()


async def test_a_row_that_the_database_refuses_fails_alone(canteen: Any) -> None:
    """Whatever makes one row bad: the batch is halved until it stands alone."""
    haleem = await canteen.stock_up(100)
    orders = [canteen.order({haleem: 1}) for _ in range(30)]
    bad = orders[13]
    await canteen.books.execute(f"""
        ALTER TABLE stock.reservations ADD CONSTRAINT poison CHECK (order_id <> '{bad.order_id}')
    """)
    try:
        answers = await asyncio.gather(*map(canteen.reserve, orders), return_exceptions=True)
    finally:
        await canteen.books.execute("ALTER TABLE stock.reservations DROP CONSTRAINT poison")

    failed = [
        each.order_id for each, answer in zip(orders, answers, strict=True) if isinstance(answer, Exception)
    ]
    assert failed == [bad.order_id]
    assert await canteen.quantity(haleem) == 71
    await canteen.check_books()
    assert type(answers[13]).__name__ == "Undecided"
    assert (await canteen.reserve(bad)).decision is Decision.RESERVED
