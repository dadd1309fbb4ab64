"""Old ledger rows become an opening balance: the ledger adds up at every commit, and no portion appears or goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.retention import PurgeEnded
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.stock import Decision, ReserveStock
from cafeteria.contracts.subjects import STOCK

if TYPE_CHECKING:
    from conftest import Stock

_MAKE_OLDER = """
UPDATE stock.stock_transactions SET id = uuidv7(interval '-40 days'), created_at = created_at - interval '40 days'
WHERE order_id = ANY($1)
"""
_MAKE_DECISIONS_OLDER = """
WITH older AS (
    UPDATE stock.reservations SET order_id = uuidv7(interval '-40 days'), decided_at = decided_at - interval '40 days'
    WHERE order_id = ANY($1) RETURNING old.order_id AS was, new.order_id AS is_now
)
UPDATE stock.stock_transactions SET order_id = is_now FROM older WHERE order_id = was
"""


async def make_older(stock: Stock, *orders: ReserveStock) -> None:
    """Move the orders' decisions and ledger rows, and all restocks, forty days back."""
    ids = [order.order_id for order in orders]
    await stock.admin.execute(_MAKE_OLDER, ids)
    await stock.admin.execute(_MAKE_DECISIONS_OLDER, ids)
    await stock.admin.execute("UPDATE stock.restocks SET created_at = created_at - interval '40 days'")


async def purge(settings: ServiceSettings) -> None:
    own = Database.connect(settings, service=STOCK)
    await PurgeEnded(own, days=30).run()
    await own.close()


async def restocks_of(stock: Stock, item_id: UUID) -> list[tuple[str, int]]:
    rows = await stock.admin.fetch("SELECT actor, quantity FROM stock.restocks WHERE item_id = $1", item_id)
    return [(row["actor"], row["quantity"]) for row in rows]


async def test_old_rows_become_the_opening_balance(stock: Stock, stock_settings: ServiceSettings) -> None:
    haleem, jilapi = await stock.stock_up(10), await stock.stock_up(5)
    sold, released, refused = (
        stock.order({haleem: 3, jilapi: 1}),
        stock.order({haleem: 2}),
        stock.order({haleem: 20}),
    )
    for order in (sold, released, refused):
        await stock.reserve(order)
    await stock.release(released.order_id)
    await make_older(stock, sold, released, refused)
    young = stock.order({haleem: 1})
    await stock.reserve(young)

    await purge(stock_settings)

    await stock.check_balance()
    assert (await stock.quantity(haleem), await stock.quantity(jilapi)) == (6, 4)
    assert await restocks_of(stock, haleem) == [("opening balance", 7)]
    assert await restocks_of(stock, jilapi) == [("opening balance", 4)]
    assert await stock.admin.fetchval("SELECT count(*) FROM stock.stock_transactions") == 1
    assert await stock.admin.fetch("SELECT order_id FROM stock.reservations") == [(young.order_id,)]


async def test_an_item_without_old_rows_keeps_its_restocks(
    stock: Stock, stock_settings: ServiceSettings
) -> None:
    haleem = await stock.stock_up(10)
    order = stock.order({haleem: 3})
    await stock.reserve(order)
    before = await restocks_of(stock, haleem)

    await purge(stock_settings)

    assert await restocks_of(stock, haleem) == before
    assert await stock.ledger_of(order.order_id) == [("DEDUCT", 3)]


async def test_two_purges_and_sales_at_once_keep_the_balance(
    two_stocks: Stock, stock_settings: ServiceSettings
) -> None:
    haleem = await two_stocks.stock_up(50)
    old = [two_stocks.order({haleem: 1}) for _ in range(20)]
    await two_stocks.reserve_all(old)
    await make_older(two_stocks, *old)
    new = [two_stocks.order({haleem: 1}) for _ in range(20)]

    decided, *_ = await asyncio.gather(
        two_stocks.reserve_all(new), purge(stock_settings), purge(stock_settings)
    )

    assert {each.decision for each in decided} == {Decision.RESERVED}
    await two_stocks.check_balance()
    assert await two_stocks.quantity(haleem) == 10
    assert await restocks_of(two_stocks, haleem) == [("opening balance", 30)]
