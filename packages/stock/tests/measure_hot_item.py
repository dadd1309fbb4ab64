"""How many decisions a second the batches make on one hot item: `python packages/stock/tests/measure_hot_item.py`.

Starts its own Postgres. Buyers ask the group commit directly, each again as soon as it is answered; the bus is
left out, the buyers' own time is in the figures. No test: absolute times say little on a shared machine.
"""

import asyncio
import resource
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from decimal import Decimal
from time import perf_counter
from uuid import UUID

import uvloop

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.observability.metrics import current_registry
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.stock import ReserveStock
from cafeteria.contracts.subjects import STOCK
from cafeteria.contracts.values import Line
from cafeteria.local_stack.data_directory import temporary_data_directory
from cafeteria.stock import repository
from cafeteria.stock.domain import Reservation, StoredItem
from cafeteria.stock.service import CONFLICTS, Command, OrderBook
from cafeteria.stock.views import ChangedItems
from cafeteria.testkit.servers import FixtureServers

DECISIONS = 10_000
PLENTY = 1_000_000

Group = GroupCommit[Command, Reservation]


async def main() -> None:
    with temporary_data_directory() as home:
        servers = FixtureServers(home)
        try:
            await servers.start()
            for services, buyers in ((1, 1), (1, 20), (1, 64), (1, 128), (2, 20), (2, 128)):
                await servers.clean()
                print(await measure(servers, services=services, buyers=buyers))  # noqa: T201 - the result
        finally:
            await servers.stop()


async def measure(servers: FixtureServers, *, services: int, buyers: int) -> str:
    settings = servers.settings(STOCK, ServiceSettings)
    async with AsyncExitStack() as stack:
        databases = [Database.connect(settings, service=STOCK) for _ in range(services)]
        for database in databases:
            stack.push_async_callback(database.close)
        groups: list[Group] = [
            await stack.enter_async_context(
                GroupCommit(f"measured-{number}", OrderBook(database, ChangedItems()).commit)
            )
            for number, database in enumerate(databases)
        ]
        item_id = await stock_up(databases[0])
        await run(groups, item_id=item_id, buyers=buyers, decisions=200 * services)
        conflicts, cpu, started = conflicts_so_far(), cpu_s(), perf_counter()
        await run(groups, item_id=item_id, buyers=buyers, decisions=DECISIONS)
        took, used = perf_counter() - started, cpu_s() - cpu
    return (
        f"{services} service(s), {buyers:3} buyers: {DECISIONS / took:6.0f} decisions/s, "
        f"{used / DECISIONS * 1e6:4.0f} µs CPU each in this process, "
        f"{conflicts_so_far() - conflicts:.0f} batches redone"
    )


async def run(groups: list[Group], *, item_id: UUID, buyers: int, decisions: int) -> None:
    lines = (Line(item_id=item_id, quantity=1),)
    left = iter(range(decisions))

    async def buy(group: Group, turns: Iterator[int]) -> None:
        for _ in turns:
            await group.submit(ReserveStock(order_id=new_id(), lines=lines, age_ms=0))

    await asyncio.gather(*(buy(groups[number % len(groups)], left) for number in range(buyers)))


async def stock_up(database: Database) -> UUID:
    item = StoredItem(
        id=new_id(), name="Haleem", price=Decimal("120.00"), on_sale=True, quantity=PLENTY, version=1
    )
    async with database.transaction() as connection:
        await repository.insert_item(connection, item, actor="measurement", now=now())
    return item.id


def conflicts_so_far() -> float:
    return CONFLICTS.metric(current_registry())._value.get()  # type: ignore[no-any-return]  # prometheus_client shows a counter's value nowhere else


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
