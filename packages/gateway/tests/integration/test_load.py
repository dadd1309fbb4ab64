"""Overload, and a database or bus that is down: orders are refused or wait, and are accepted again afterwards."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import BrokenStack, FakeStock, OpenGateway, RunningGateway


async def test_with_too_many_orders_pending_new_ones_are_refused_and_nothing_is_written(
    open_gateway: OpenGateway, stock: FakeStock
) -> None:
    gateway = await open_gateway(pending_limit=3)
    item = stock.stock_up(100)
    stock.stop_answering()
    received = await asyncio.gather(*(gateway.order({item: 1}) for _ in range(3)))
    assert {answer.status_code for answer in received} == {202}
    await until(lambda: has_counted(gateway, 3))
    refused = await gateway.order({item: 1}, key="k")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/overloaded")
    assert refused.headers["Retry-After"]
    assert (await gateway.count("orders"), await gateway.count("idempotency_keys")) == (3, 3)
    stock.resume_answering()
    await until(lambda: is_accepted(gateway, item))


async def test_the_refusal_of_a_repeat_does_not_state_that_nothing_was_ordered(
    open_gateway: OpenGateway, stock: FakeStock
) -> None:
    gateway = await open_gateway(pending_limit=1)
    item = stock.stock_up(100)
    stock.stop_answering()
    assert (await gateway.order({item: 1}, key="k")).status_code == 202
    await until(lambda: has_counted(gateway, 1))
    refused = await gateway.order({item: 1}, key="k")
    assert refused.status_code == 503
    assert "Nothing was ordered" not in refused.json()["detail"]
    assert "same Idempotency-Key" in refused.json()["detail"]


async def test_with_too_many_accepted_orders_not_published_yet_new_ones_are_refused_until_they_are(
    open_gateway: OpenGateway, stock: FakeStock, servers: FixtureServers
) -> None:
    item = stock.stock_up(100)
    async with servers.database_as_admin() as another:
        await another.execute("UPDATE gateway.relay_lease SET holder = 'another', until = 'infinity'")
        gateway = await open_gateway(pending_limit=6)
        for _ in range(3):
            assert (await gateway.order({item: 1})).status_code == 201
        refused = await until(lambda: overloaded(gateway, item))
        assert refused.headers["Retry-After"]
        orders = await gateway.count("orders")
        assert (await gateway.order({item: 1})).status_code == 503
        assert await gateway.count("orders") == orders
        await another.execute("UPDATE gateway.relay_lease SET until = now()")
    await until(lambda: is_accepted(gateway, item))


async def test_load_shedding_needs_no_token_and_reads_no_body(
    open_gateway: OpenGateway, stock: FakeStock
) -> None:
    gateway = await open_gateway(pending_limit=1)
    item = stock.stock_up(100)
    stock.stop_answering()
    assert (await gateway.order({item: 1})).status_code == 202
    await until(lambda: has_counted(gateway, 1))
    refused = await gateway.web.post("/v1/orders", content=b"{")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/overloaded")
    assert (await gateway.web.get("/v1/menu")).status_code == 200


async def test_another_gateways_pending_orders_count_too(
    open_gateway: OpenGateway, stock: FakeStock, broken_stack: BrokenStack
) -> None:
    for number in range(3):
        pending = await broken_stack.received({new_id(): 1}, key=f"k{number}")
        await broken_stack.change(pending, "next_ask_at = now() + interval '1 hour'")
    gateway = await open_gateway(pending_limit=3)
    await until(lambda: has_counted(gateway, 3))
    assert (await gateway.order({new_id(): 1})).status_code == 503
    assert await gateway.count("orders") == 3


async def test_while_the_database_is_down_orders_get_503_and_a_repeat_is_accepted_after(
    gateway: RunningGateway, stock: FakeStock, servers: FixtureServers
) -> None:
    item = stock.stock_up(10)
    assert (await gateway.order({item: 1})).status_code == 201
    await servers.postgres.stop()
    refused = await gateway.order({item: 1}, key="k")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
    assert "same Idempotency-Key" in refused.json()["detail"]
    ready = await gateway.web.get("/health/ready")
    assert ready.json()["dependencies"]["postgres"].startswith("unavailable")
    await servers.postgres.start()
    await until(lambda: is_accepted(gateway, item, key="k"))


async def test_while_the_bus_is_down_orders_are_received_and_verify_once_it_is_back(
    gateway: RunningGateway, stock: FakeStock, servers: FixtureServers
) -> None:
    item = stock.stock_up(10)
    await servers.nats.stop()
    answer = await gateway.order({item: 1}, key="k")
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    await servers.nats.start()
    await servers.ensure_bus()
    await until(lambda: is_accepted(gateway, item, key="k"), timeout_s=20)
    assert stock.portions[item] == 9


async def test_while_the_tables_are_locked_new_orders_are_refused_and_repeats_get_the_outcome_after(
    gateway: RunningGateway, stock: FakeStock, servers: FixtureServers
) -> None:
    item = stock.stock_up(10)
    async with servers.database_as_admin() as rogue:
        lock = rogue.transaction()
        await lock.start()
        await rogue.execute("LOCK TABLE gateway.orders IN ACCESS EXCLUSIVE MODE")
        ordering = asyncio.create_task(gateway.order({item: 1}, key="k"))
        await until(lambda: gateway.service.receive_orders.batcher.running_for_s)
        refused = await until(lambda: overloaded(gateway, item))
        stuck = await ordering
        assert stuck.status_code == 503
        assert "same Idempotency-Key" in stuck.json()["detail"]
        assert refused.headers["Retry-After"]
        await lock.rollback()
    await until(lambda: is_accepted(gateway, item, key="k"))
    assert stock.portions[item] == 9
    assert await gateway.count("orders") == 1


async def overloaded(gateway: RunningGateway, item: UUID) -> Any:
    answer = await gateway.order({item: 1})
    return answer if answer.json().get("type") == "/problems/overloaded" else None


async def is_accepted(gateway: RunningGateway, item: UUID, *, key: str | None = None) -> bool:
    return bool((await gateway.order({item: 1}, key=key)).status_code == 201)


async def has_counted(gateway: RunningGateway, pending: int) -> bool:
    """The last count found `pending` PENDING orders in the database; no earlier count is still running."""
    return f"cafeteria_gateway_pending_orders {pending}.0\n" in (await gateway.web.get("/metrics")).text
