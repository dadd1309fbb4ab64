"""The bench on real servers with a small load: the floor and the product do the same work."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from cafeteria.bench import consistency
from cafeteria.bench.environment import Environment, Target
from cafeteria.bench.machine import Meter
from cafeteria.bench.old_orders import Past, load
from cafeteria.bench.readers import reading
from cafeteria.bench.requests import orders
from cafeteria.bench.steady import CREATED, RECEIVED, OpenLoad
from cafeteria.chassis.runtime.clock import now
from cafeteria.faultkit import quiescence
from cafeteria.local_stack.data_directory import temporary_data_directory
from cafeteria.local_stack.fork_server import ForkServer

WaitUntil = Callable[..., Awaitable[Any]]

ORDERS, RATE = 30, 30.0
OLD_ORDERS = 500
QUIESCENT_WITHIN_S = 60.0


@pytest.fixture(scope="module")
async def environment(fork_server: ForkServer) -> AsyncIterator[Environment]:
    with temporary_data_directory() as data_directory:
        async with Environment(data_directory, fork_server=fork_server) as opened:
            yield opened


async def order_and_check(environment: Environment, target: Target, wait_until: WaitUntil) -> None:
    """Place orders, and check that each is accepted, carried to READY, logged and shown."""
    since, meter = consistency.moment(), Meter(target.pids)
    async with reading(target.notification, environment.tokens[:3]) as readers:
        outcome = await OpenLoad(
            target.gateways[0], orders(environment.tokens[:3], environment.items), rate=RATE
        ).run(ORDERS / RATE)
        await quiescence.until_idle(environment.admin, within_s=QUIESCENT_WITHIN_S)
        await wait_until(lambda: readers.ready >= ORDERS)
        assert readers.ready == ORDERS
    assert (
        outcome.count(CREATED, RECEIVED) == ORDERS
    )  # some may be 202: the first takes long on new processes
    stored = await consistency.read(environment.admin, since=since)
    assert await consistency.find_errors(environment.admin, stored, accepted=ORDERS, unanswered=0) == []
    assert (stored.ready, stored.notified, stored.taken) == (ORDERS, 4 * ORDERS, ORDERS)
    usage = meter.read()
    assert usage.cpu_s.keys() >= {"gateway", "stock", "kitchen", "notification", "postgres", "nats"}
    assert usage.cpu_s["gateway"] > 0


async def leave_portions(environment: Environment, item: str, portions: int) -> None:
    """Reduce stock to these portions, and the restocks so that the ledger still balances."""
    async with environment.admin.transaction():
        await environment.admin.execute(_REDUCE_RESTOCK, item, portions)
        await environment.admin.execute(_SET_QUANTITY, item, portions)


_REDUCE_RESTOCK = """
UPDATE stock.restocks AS restock SET quantity = restock.quantity - inventory.quantity + $2
FROM stock.inventory WHERE inventory.item_id = restock.item_id AND restock.item_id = $1"""
_SET_QUANTITY = "UPDATE stock.inventory SET quantity = $2, version = version + 1 WHERE item_id = $1"


async def test_the_floor_carries_all_orders_to_ready_and_sells_no_portion_twice(
    environment: Environment, wait_until: WaitUntil
) -> None:
    async with environment.floor() as target:
        await order_and_check(environment, target, wait_until)
        await leave_portions(environment, environment.items[0], 5)
        since = consistency.moment()
        await OpenLoad(target.gateways[0], orders(environment.tokens, environment.items[:1]), rate=RATE).run(
            ORDERS / RATE
        )
        await quiescence.until_idle(environment.admin, within_s=QUIESCENT_WITHIN_S)
    stored = await consistency.read(environment.admin, since=since)
    assert (stored.ready, stored.rejected, stored.taken) == (5, ORDERS - 5, 5)
    assert stored.is_complete
    assert await consistency.find_errors(environment.admin, stored, accepted=5, unanswered=0) == []


async def test_the_product_carries_all_orders_to_ready_and_keeps_old_orders(
    environment: Environment, wait_until: WaitUntil
) -> None:
    await environment.clean()
    await load(
        environment.stack.servers.postgres_admin_url,
        Past(orders=OLD_ORDERS, students=environment.students, items=environment.items, now=now()),
    )
    async with environment.product(keep=True) as target:
        await order_and_check(environment, target, wait_until)
    assert await environment.admin.fetchval("SELECT count(*) FROM gateway.orders") == OLD_ORDERS + ORDERS
