"""A hot item sells exactly its portions, and no order is refused while portions remain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from cafeteria.contracts.stock import Decision

if TYPE_CHECKING:
    from conftest import OpenStock, Stock


PORTIONS, BUYERS = 300, 400


@pytest.mark.parametrize("services", [1, 2])
async def test_three_hundred_portions_and_four_hundred_buyers(open_stock: OpenStock, services: int) -> None:
    stock = await open_stock(services=services)
    haleem = await stock.stock_up(PORTIONS)
    orders = [stock.order({haleem: 1}) for _ in range(BUYERS)]

    answers = await asyncio.gather(*map(stock.reserve, orders))

    decisions = [answer.decision for answer in answers]
    assert decisions.count(Decision.RESERVED) == PORTIONS
    assert decisions.count(Decision.REJECTED) == BUYERS - PORTIONS
    assert await stock.quantity(haleem) == 0
    assert await last_reserved_before_first_refused(stock)
    await stock.check_balance()


async def test_orders_of_several_items_on_two_replicas_never_deadlock(two_stocks: Stock) -> None:
    items = [await two_stocks.stock_up(40, name=f"item {number}") for number in range(4)]
    orders = [
        two_stocks.order({items[(number + step) % 4]: 1 for step in range(1 + number % 4)})
        for number in range(200)
    ]

    answers = await asyncio.gather(*map(two_stocks.reserve, orders))

    sold = dict.fromkeys(items, 0)
    for order, answer in zip(orders, answers, strict=True):
        if answer.decision is Decision.RESERVED:
            for line in order.lines:
                sold[line.item_id] += line.quantity
    assert {item: 40 - await two_stocks.quantity(item) for item in items} == sold
    await two_stocks.check_balance()


async def last_reserved_before_first_refused(stock: Stock) -> bool:
    """Compare decision times: both services run in this process, on one clock, and take it after they have read."""
    moments = await stock.admin.fetchrow("""
        SELECT max(decided_at) FILTER (WHERE decision = 'RESERVED') AS last_reserved,
            min(decided_at) FILTER (WHERE decision = 'REJECTED') AS first_refused
        FROM stock.reservations
    """)
    assert moments is not None
    return bool(moments["last_reserved"] <= moments["first_refused"])
