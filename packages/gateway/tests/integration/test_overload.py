"""Too much, or a database that is away: refused before anything is written, and right again afterwards."""

import asyncio
from typing import Any
from zlib import crc32

from cafeteria.chassis.ids import new_id


async def test_with_too_many_orders_pending_new_ones_are_refused_and_nothing_is_written(
    open_gateway: Any, stock: Any, wait_until: Any
) -> None:
    counter = await open_gateway(pending_limit=3)
    item = stock.stock_up(100)
    stock.fall_silent()
    received = await asyncio.gather(*(counter.order({item: 1}) for _ in range(3)))
    assert {answer.status_code for answer in received} == {202}
    await wait_until(lambda: has_counted(counter, 3))
    refused = await counter.order({item: 1}, key="k")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/overloaded")
    assert refused.headers["Retry-After"]
    assert (await counter.count("orders"), await counter.count("idempotency_keys")) == (3, 3)
    stock.speak()
    await wait_until(lambda: is_accepted(counter, item))


async def test_a_repeat_that_is_refused_is_not_told_that_nothing_was_ordered(
    open_gateway: Any, stock: Any, wait_until: Any
) -> None:
    counter = await open_gateway(pending_limit=1)
    item = stock.stock_up(100)
    stock.fall_silent()
    assert (await counter.order({item: 1}, key="k")).status_code == 202
    await wait_until(lambda: has_counted(counter, 1))
    refused = await counter.order({item: 1}, key="k")
    assert refused.status_code == 503
    assert "Nothing was ordered" not in refused.json()["detail"]
    assert "same Idempotency-Key" in refused.json()["detail"]


async def test_with_too_many_accepted_orders_not_carried_yet_new_ones_are_refused_until_they_are(
    open_gateway: Any, stock: Any, servers: Any, wait_until: Any
) -> None:
    item = stock.stock_up(100)
    async with servers.database_as_admin() as another:
        await another.execute("SELECT pg_advisory_lock($1)", crc32(b"gateway.relay"))
        counter = await open_gateway(pending_limit=6)
        for _ in range(3):
            assert (await counter.order({item: 1})).status_code == 201
        refused = await wait_until(lambda: overloaded(counter, item))
        assert refused.headers["Retry-After"]
        orders = await counter.count("orders")
        assert (await counter.order({item: 1})).status_code == 503
        assert await counter.count("orders") == orders
    await wait_until(lambda: is_accepted(counter, item))


async def test_a_refusal_at_the_door_asks_for_no_token_and_reads_no_body(
    open_gateway: Any, stock: Any, wait_until: Any
) -> None:
    counter = await open_gateway(pending_limit=1)
    item = stock.stock_up(100)
    stock.fall_silent()
    assert (await counter.order({item: 1})).status_code == 202
    await wait_until(lambda: has_counted(counter, 1))
    refused = await counter.web.post("/v1/orders", content=b"{")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/overloaded")
    assert (await counter.web.get("/v1/menu")).status_code == 200


async def test_another_gateways_pending_orders_count_too(
    open_gateway: Any, stock: Any, wreck: Any, wait_until: Any
) -> None:
    for number in range(3):
        pending = await wreck.received({new_id(): 1}, key=f"k{number}")
        await wreck.change(pending, "next_ask_at = now() + interval '1 hour'")
    counter = await open_gateway(pending_limit=3)
    await wait_until(lambda: has_counted(counter, 3))
    assert (await counter.order({new_id(): 1})).status_code == 503
    assert await counter.count("orders") == 3


async def test_with_the_database_away_nobody_is_promised_anything_and_a_repeat_is_accepted_after(
    counter: Any, stock: Any, servers: Any, wait_until: Any
) -> None:
    item = stock.stock_up(10)
    assert (await counter.order({item: 1})).status_code == 201
    await servers.postgres.stop()
    away = await counter.order({item: 1}, key="k")
    assert (away.status_code, away.json()["type"]) == (503, "/problems/unavailable")
    assert "same Idempotency-Key" in away.json()["detail"]
    ready = await counter.web.get("/health/ready")
    assert ready.json()["dependencies"]["postgres"].startswith("unavailable")
    await servers.postgres.start()
    await wait_until(lambda: is_accepted(counter, item, key="k"))


async def test_with_the_bus_away_orders_are_received_and_verify_once_it_is_back(
    counter: Any, stock: Any, servers: Any, wait_until: Any
) -> None:
    item = stock.stock_up(10)
    await servers.nats.stop()
    answer = await counter.order({item: 1}, key="k")
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    await servers.nats.start()
    await servers.ensure_bus()
    await wait_until(lambda: is_accepted(counter, item, key="k"), timeout_s=20)
    assert stock.portions[item] == 9


async def test_with_the_tables_locked_by_somebody_new_orders_are_refused_and_repeats_find_out_after(
    counter: Any, stock: Any, servers: Any, wait_until: Any
) -> None:
    item = stock.stock_up(10)
    async with servers.database_as_admin() as rogue:
        lock = rogue.transaction()
        await lock.start()
        await rogue.execute("LOCK TABLE gateway.orders IN ACCESS EXCLUSIVE MODE")
        ordering = asyncio.create_task(counter.order({item: 1}, key="k"))
        intake = counter.app.state.gateway.place_order._intake
        await wait_until(lambda: intake._receiving.running_for_s)
        refused = await wait_until(lambda: overloaded(counter, item))
        stuck = await ordering
        assert stuck.status_code == 503
        assert "same Idempotency-Key" in stuck.json()["detail"]
        assert refused.headers["Retry-After"]
        await lock.rollback()
    await wait_until(lambda: is_accepted(counter, item, key="k"))
    assert stock.portions[item] == 9
    assert await counter.count("orders") == 1


async def overloaded(counter: Any, item: Any) -> Any:
    answer = await counter.order({item: 1})
    return answer if answer.json().get("type") == "/problems/overloaded" else None


async def is_accepted(counter: Any, item: Any, *, key: str | None = None) -> bool:
    return bool((await counter.order({item: 1}, key=key)).status_code == 201)


async def has_counted(counter: Any, pending: int) -> bool:
    """It has found so many PENDING orders in the database, and no count that began before can set it back."""
    return f"cafeteria_gateway_pending_orders {pending}.0\n" in (await counter.web.get("/metrics")).text
