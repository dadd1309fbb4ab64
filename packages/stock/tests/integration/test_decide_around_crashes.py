"""The database connection dies around a COMMIT: the batch is there whole or not at all, and a repeat gets the decision."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.messaging import NoAnswer, PeerRefused
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.stock import Decision, ReleaseStock, ReserveStock, StockDecided
from cafeteria.stock.use_cases.decide_reservations import DecideReservations
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import Stock


_KILL = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = 'cafeteria-stock'
"""


async def test_a_batch_whose_connection_dies_is_done_again_and_counts_once(
    stock: Stock, servers: FixtureServers
) -> None:
    haleem = await stock.stock_up(10)
    orders = [stock.order({haleem: 1}) for _ in range(5)]
    async with held_up(servers, haleem):
        asking = asyncio.gather(*map(stock.reserve, orders))
        await until(lambda: terminate_waiting(stock))

    answers = await asking

    assert [answer.decision for answer in answers] == [Decision.RESERVED] * 5
    assert await stock.quantity(haleem) == 5
    await stock.check_balance()


async def test_a_batch_that_dies_twice_is_undecided_and_asking_again_decides(
    stock: Stock, servers: FixtureServers
) -> None:
    haleem = await stock.stock_up(10)
    order = stock.order({haleem: 2})
    async with held_up(servers, haleem):
        asking = asyncio.gather(stock.reserve(order), return_exceptions=True)
        await until(lambda: terminate_waiting(stock))
        await until(lambda: terminate_waiting(stock))
        answers = await asking

    assert [type(answer) for answer in answers] == [PeerRefused]
    assert await stock.quantity(haleem) == 10
    assert (await stock.reserve(order)).decision is Decision.RESERVED
    assert await stock.ledger_of(order.order_id) == [("DEDUCT", 2)]
    await stock.check_balance()


async def test_connections_that_die_at_any_moment_lose_and_double_nothing(two_stocks: Stock) -> None:
    haleem = await two_stocks.stock_up(150)
    orders = [two_stocks.order({haleem: 1}) for _ in range(200)]
    answers: list[StockDecided] = []
    killed: list[int] = []

    async def kill_a_busy_backend(asking: asyncio.Future[Any]) -> bool:
        killed.append(await two_stocks.admin.fetchval(f"{_KILL} AND state <> 'idle'"))
        return killed[-1] > 0 or asking.done()

    async def reserve_while_killing(wave: list[ReserveStock]) -> None:
        asking = asyncio.gather(*(ask_until_answered(two_stocks, each) for each in wave))
        while not await kill_a_busy_backend(asking):
            pass  # without a pause: a batch lasts a few milliseconds
        answers.extend(await asking)

    for start in range(0, len(orders), 10):
        await reserve_while_killing(orders[start : start + 10])

    assert sum(killed) > 0
    assert [answer.decision for answer in answers].count(Decision.RESERVED) == 150
    assert await two_stocks.quantity(haleem) == 0
    assert await asyncio.gather(*map(two_stocks.reserve, orders)) == answers
    await two_stocks.check_balance()


async def test_a_commit_whose_answer_is_lost_counts_once(
    stock: Stock, stock_settings: ServiceSettings
) -> None:
    haleem = await stock.stock_up(10)
    orders = [stock.order({haleem: 1}) for _ in range(5)]
    database = Database.connect(stock_settings, service="stock")
    decide = DecideReservations(
        LosesItsFirstAnswer(database),
        on_changed=lambda _: None,
    )

    async with decide.batcher as batcher:
        decided = await asyncio.gather(*map(batcher.submit, orders))
        released = await batcher.submit(ReleaseStock(order_id=orders[0].order_id))
    await database.close()

    assert [each.decision for each in decided] == [Decision.RESERVED] * 5
    assert released.released_at is not None
    assert await stock.quantity(haleem) == 6
    assert await stock.ledger_of(orders[1].order_id) == [("DEDUCT", 1)]
    await stock.check_balance()


class LosesItsFirstAnswer(Database):
    """A database that writes the first batch, and loses the connection before the client gets the answer."""

    def __init__(self, database: Database) -> None:
        super().__init__(database._connections, database._faults)
        self._lost = False

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        async with super().statement() as connection:
            yield connection
        if not self._lost:
            self._lost = True
            raise DatabaseUnavailable


@asynccontextmanager
async def held_up(servers: FixtureServers, item_id: UUID) -> AsyncIterator[None]:
    """Every change of this item waits."""
    async with servers.database_as_admin() as other, other.transaction():
        await other.execute("SELECT FROM stock.inventory WHERE item_id = $1 FOR UPDATE", item_id)
        yield


async def ask_until_answered(stock: Stock, order: ReserveStock) -> StockDecided:
    """As the gateway does: an error is no answer."""
    while True:
        try:
            return await stock.reserve(order)
        except (PeerRefused, NoAnswer):
            await asyncio.sleep(0)


async def terminate_waiting(stock: Stock) -> bool:
    """Whether a backend of stock was waiting for a lock, and is dead now."""
    return bool(await stock.admin.fetchval(f"{_KILL} AND wait_event_type = 'Lock'"))
