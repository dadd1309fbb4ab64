"""Another replica is faster between a batch's read and its write: the batch is decided again, and the first try leaves nothing.

An administrator's transaction stands in for the other replica, because it can stop at the point that matters.
"""

from __future__ import annotations

from asyncio import create_task
from decimal import Decimal
from typing import TYPE_CHECKING

from cafeteria.contracts.stock import Decision
from cafeteria.contracts.values import RejectionReason
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import Stock


_WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cafeteria-stock' AND wait_event_type = 'Lock'
"""


async def test_an_item_that_moved_is_read_again(stock: Stock, servers: FixtureServers) -> None:
    haleem = await stock.stock_up(5, price="120.00")
    async with servers.database_as_admin() as other, other.transaction():
        await other.execute("UPDATE stock.inventory SET version = version + 1")
        await other.execute("UPDATE stock.items SET price = 99")
        asking = create_task(stock.reserve(stock.order({haleem: 1})))
        await until(lambda: stock.admin.fetchval(_WAITING))

    answer = await asking

    assert [item.unit_price for item in answer.items] == [Decimal("99.00")]
    assert await conflicts(stock) == 1
    assert await stock.quantity(haleem) == 4
    await stock.check_balance()


async def test_portions_that_were_sold_meanwhile_are_not_sold_again(
    stock: Stock, servers: FixtureServers
) -> None:
    haleem = await stock.stock_up(5)
    first = stock.order({haleem: 4})
    async with servers.database_as_admin() as other, other.transaction():
        await other.execute("UPDATE stock.inventory SET version = version + 1, quantity = quantity - 4")
        await other.execute(
            "INSERT INTO stock.stock_transactions VALUES ($1, $1, $2, 4, now(), 'DEDUCT')",
            first.order_id,
            haleem,
        )
        asking = create_task(stock.reserve(stock.order({haleem: 2})))
        await until(lambda: stock.admin.fetchval(_WAITING))

    answer = await asking

    assert (answer.decision, answer.reason) == (Decision.REJECTED, RejectionReason.OUT_OF_STOCK)
    assert await stock.quantity(haleem) == 1
    await stock.check_balance()


async def test_a_decision_that_was_stored_meanwhile_stays(stock: Stock, servers: FixtureServers) -> None:
    haleem = await stock.stock_up(5)
    order, neighbour = stock.order({haleem: 1}), stock.order({haleem: 2})
    async with servers.database_as_admin() as other, other.transaction():
        await other.execute(
            "INSERT INTO stock.reservations VALUES ($1, 'REJECTED', 'EXPIRED', '[]', now(), now())",
            order.order_id,
        )
        asking = create_task(stock.reserve(order)), create_task(stock.reserve(neighbour))
        await until(lambda: stock.admin.fetchval(_WAITING))

    assert (await asking[0]).reason is RejectionReason.EXPIRED
    assert (await asking[1]).decision is Decision.RESERVED
    assert await conflicts(stock) == 1
    assert await stock.quantity(haleem) == 3
    await stock.check_balance()


async def test_a_release_that_happened_meanwhile_is_not_repeated(
    stock: Stock, servers: FixtureServers
) -> None:
    haleem = await stock.stock_up(5)
    order = stock.order({haleem: 2})
    await stock.reserve(order)
    async with servers.database_as_admin() as other, other.transaction():
        released_at = await other.fetchval(
            "UPDATE stock.reservations SET released_at = now() RETURNING released_at"
        )
        await other.execute("UPDATE stock.inventory SET version = version + 1, quantity = quantity + 2")
        await other.execute(
            "INSERT INTO stock.stock_transactions VALUES ($1, $2, $3, -2, now(), 'RELEASE')",
            haleem,
            order.order_id,
            haleem,
        )
        asking = create_task(stock.release(order.order_id))
        await until(lambda: stock.admin.fetchval(_WAITING))

    assert (await asking).released_at == released_at
    assert await stock.quantity(haleem) == 5
    assert await stock.ledger_of(order.order_id) == [("DEDUCT", 2), ("RELEASE", -2)]
    await stock.check_balance()


async def conflicts(stock: Stock) -> float:
    page = (await stock.web.get("/metrics")).text
    [line] = [line for line in page.splitlines() if line.startswith("stock_batch_conflicts_total ")]
    return float(line.split()[1])
