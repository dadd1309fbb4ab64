"""The bench on real servers, with a load that is none: the floor and the product do the same work."""

from collections.abc import AsyncIterator
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

ORDERS, RATE = 30, 30.0
OLD_ORDERS = 500
REST_WITHIN_S = 60.0


@pytest.fixture(scope="module")
async def environment(fork_server) -> AsyncIterator[Environment]:
    with temporary_data_directory() as home:
        async with Environment(home, fork_server=fork_server) as laid:
            yield laid


async def order_and_watch(environment: Environment, target: Target, wait_until: Any) -> None:
    """Every order is accepted, carried to READY, logged and shown; and the counts say so."""
    since, meter = consistency.moment(), Meter(target.pids)
    async with reading(target.notification, environment.tokens[:3]) as readers:
        outcome = await OpenLoad(
            target.gateways[0], orders(environment.tokens[:3], environment.items), rate=RATE
        ).run(ORDERS / RATE)
        await quiescence.until_idle(environment.admin, within_s=REST_WITHIN_S)
        await wait_until(lambda: readers.ready >= ORDERS)
        assert readers.ready == ORDERS
    assert (
        outcome.count(CREATED, RECEIVED) == ORDERS
    )  # the first may take long, on processes that have just begun
    stored = await consistency.read(environment.admin, since=since)
    assert await consistency.find_errors(environment.admin, stored, accepted=ORDERS, unanswered=0) == []
    assert (stored.ready, stored.notified, stored.taken) == (ORDERS, 4 * ORDERS, ORDERS)
    usage = meter.read()
    assert usage.cpu_s.keys() >= {"gateway", "stock", "kitchen", "notification", "postgres", "nats"}
    assert usage.cpu_s["gateway"] > 0


async def leave_portions(environment: Environment, item: str, portions: int) -> None:
    """As if no more than these, and those already taken, had ever come in."""
    async with environment.admin.transaction():
        await environment.admin.execute(_TAKE_BACK, item, portions)
        await environment.admin.execute(_LEAVE, item, portions)


_TAKE_BACK = """
UPDATE stock.restocks AS restock SET quantity = restock.quantity - inventory.quantity + $2
FROM stock.inventory WHERE inventory.item_id = restock.item_id AND restock.item_id = $1"""
_LEAVE = "UPDATE stock.inventory SET quantity = $2, version = version + 1 WHERE item_id = $1"


async def test_the_floor_carries_orders_to_their_end_and_sells_no_more_than_there_is(
    environment: Environment, wait_until: Any
) -> None:
    async with environment.floor() as target:
        await order_and_watch(environment, target, wait_until)
        await leave_portions(environment, environment.items[0], 5)
        since = consistency.moment()
        await OpenLoad(target.gateways[0], orders(environment.tokens, environment.items[:1]), rate=RATE).run(
            ORDERS / RATE
        )
        await quiescence.until_idle(environment.admin, within_s=REST_WITHIN_S)
    stored = await consistency.read(environment.admin, since=since)
    assert (stored.ready, stored.rejected, stored.taken) == (5, ORDERS - 5, 5)
    assert stored.is_settled
    assert await consistency.find_errors(environment.admin, stored, accepted=5, unanswered=0) == []


async def test_the_product_does_so_too_and_old_orders_are_left_alone(
    environment: Environment, wait_until: Any
) -> None:
    await environment.clean()
    await load(
        environment.stack.servers.postgres_admin_url,
        Past(orders=OLD_ORDERS, students=environment.students, items=environment.items, now=now()),
    )
    async with environment.product(keep=True) as target:
        await order_and_watch(environment, target, wait_until)
    assert await environment.admin.fetchval("SELECT count(*) FROM gateway.orders") == OLD_ORDERS + ORDERS
