"""How many tickets a second go from the stream to READY: `python packages/kitchen/tests/measure_cooking.py [orders]`.

Starts its own Postgres and NATS, puts the work on the stream, starts a kitchen as a process of its own with cooking
time 0, and waits until every ticket is READY and everything is said. No test: absolute times say little on a
shared machine.
"""

import asyncio
import os
import sys
from time import perf_counter
from typing import Any

import asyncpg
import psutil

from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.messaging.outbox import outbox_message
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts import subjects
from cafeteria.contracts.kitchen import CookOrder
from cafeteria.contracts.values import OrderStatus, PricedLine, StatusTime
from cafeteria.local_stack.data_directory import temporary_data_directory
from cafeteria.testkit.plugin import outbox_row
from cafeteria.testkit.servers import FixtureServers

ORDERS = 20_000
STATIONS = (50, 200)
AT_ONCE = 500
DEADLINE_S = 300.0
REST_S = 10.0

_STANDING = """
SELECT count(*) FILTER (WHERE status = 'READY') AS ready, count(*) AS tickets,
       (SELECT count(*) FROM kitchen.outbox) AS unsaid FROM kitchen.kitchen_orders
"""


async def main(orders: int) -> None:
    with temporary_data_directory() as home:
        servers = FixtureServers(home)
        try:
            await servers.start()
            for stations in STATIONS:
                await servers.clean()
                print(await measure(servers, orders=orders, stations=stations))  # noqa: T201 - the result
            await servers.clean()
            print(await measure_rest(servers))  # noqa: T201 - the result
        finally:
            await servers.stop()


async def measure(servers: FixtureServers, *, orders: int, stations: int) -> str:
    await place(servers, orders)
    stolen = steal()
    process = await start(servers, stations=stations)
    try:
        async with servers.database_as_admin() as books:
            first, begun = await until_standing(books, tickets=1), perf_counter()
            await until_standing(books, ready=orders, unsaid=0)
            took = perf_counter() - begun
        used = cpu_s(process)
    finally:
        await stop(process)
    return (
        f"{stations} stations: {(orders - first) / took:6.0f} tickets/s from the stream to READY and said, "
        f"{used / orders * 1e6:4.0f} µs CPU each in the kitchen, steal {steal() - stolen:.1f} s"
    )


async def measure_rest(servers: FixtureServers) -> str:
    process = await start(servers, stations=STATIONS[0])
    try:
        await asyncio.sleep(REST_S)
        begun = cpu_s(process)
        await asyncio.sleep(REST_S)
        return f"at rest: {(cpu_s(process) - begun) / REST_S:.2%} of a core"
    finally:
        await stop(process)


async def place(servers: FixtureServers, count: int) -> None:
    async with Bus(servers.settings(subjects.GATEWAY, ServiceSettings), service=subjects.GATEWAY) as bus:
        await bus.connected()
        for begin in range(0, count, AT_ONCE):
            orders = [an_order() for _ in range(min(AT_ONCE, count - begin))]
            await bus.publish_stored(
                [
                    outbox_row(
                        outbox_message(
                            subjects.WORK_PLACED, order, order_id=order.order_id, version=order.version
                        )
                    )
                    for order in orders
                ]
            )


def an_order() -> CookOrder:
    at = now()
    return CookOrder(
        order_id=new_id(),
        student_id="210041101",
        lines=(PricedLine(item_id=new_id(), name="Haleem", quantity=1),),
        version=2,
        earlier=(
            StatusTime(status=OrderStatus.PENDING, version=1, at=at),
            StatusTime(status=OrderStatus.STOCK_VERIFIED, version=2, at=at),
        ),
    )


async def start(servers: FixtureServers, *, stations: int) -> asyncio.subprocess.Process:
    times = {"KITCHEN_PREP_MIN_S": "0", "KITCHEN_PREP_MAX_S": "0", "KITCHEN_STATIONS": str(stations)}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cafeteria.kitchen"),
        env={**os.environ, **servers.environment(subjects.KITCHEN), **times},
        stdout=asyncio.subprocess.DEVNULL,
    )


async def stop(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    await process.wait()


async def until_standing(books: asyncpg.Connection, **wanted: int) -> int:
    """Returns how many tickets are READY then."""
    deadline = perf_counter() + DEADLINE_S
    while perf_counter() < deadline:
        row: Any = await books.fetchrow(_STANDING)
        if row["tickets"] and all(
            row[name] <= value if name == "unsaid" else row[name] >= value for name, value in wanted.items()
        ):
            return int(row["ready"])
        await asyncio.sleep(0.2)
    raise TimeoutError(f"not {wanted} within {DEADLINE_S} s: {dict(row)}")


def cpu_s(process: asyncio.subprocess.Process) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def steal() -> float:
    """Seconds that the hypervisor took from all cores together since the machine started."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else ORDERS))
