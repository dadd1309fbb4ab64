"""The menu and refusals from memory: the cache may refuse, never accept, and never hides an order that exists."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from cafeteria.gateway import availability_cache
from cafeteria.gateway.availability_cache import FRESH_FOR_S
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import FakeStock, OpenGateway, RunningGateway


async def test_the_menu_is_read_without_a_token_and_by_name(
    gateway: RunningGateway, stock: FakeStock
) -> None:
    items = [stock.stock_up(quantity) for quantity in (3, 0)]
    await stock.publish_availability()
    menu = await until(lambda: menu_of(gateway, 2))
    assert [item["name"] for item in menu] == sorted(item["name"] for item in menu)
    assert {item["item_id"]: item["available"] for item in menu} == {str(items[0]): 3, str(items[1]): 0}
    assert {item["unit_price"] for item in menu} == {"45.50"}


async def test_items_that_stock_has_not_renewed_are_unknown_in_the_menu_and_stock_is_asked(
    gateway: RunningGateway, stock: FakeStock
) -> None:
    item = stock.stock_up(0)
    await stock.publish_availability()
    await until(lambda: menu_of(gateway, 1))
    stock.portions[item] = 5  # and no event reports it
    menu = await until(lambda: menu_with_unknown(gateway), timeout_s=FRESH_FOR_S + 2)
    assert menu[0]["available"] is None
    assert (await gateway.order({item: 1})).status_code == 201


async def test_sold_out_items_are_refused_from_memory_and_nothing_is_stored(
    gateway: RunningGateway, stock: FakeStock
) -> None:
    few, many = stock.stock_up(1), stock.stock_up(10)
    await stock.publish_availability()
    await until(lambda: menu_of(gateway, 2))
    answer = await gateway.order({few: 2, many: 1}, key="k")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/out-of-stock")
    assert answer.json()["item_ids"] == [str(few)]
    assert stock.request_count == 0
    assert (await gateway.count("orders"), await gateway.count("idempotency_keys")) == (0, 0)
    stock.portions[few] = 5
    stock.version += 1
    await stock.publish_availability(complete=False)
    await until(lambda: shows(gateway, few, 5))
    assert (await gateway.order({few: 2, many: 1}, key="k")).status_code == 201


async def test_the_last_portion_bought_the_answer_lost_and_the_request_repeated_when_all_is_sold_out(
    gateway: RunningGateway, stock: FakeStock
) -> None:
    item = stock.stock_up(1)
    first = await gateway.order({item: 1}, key="k")
    assert first.status_code == 201
    await stock.publish_availability()
    await until(lambda: menu_of(gateway, 1))
    repeats = await asyncio.gather(*(gateway.order({item: 1}, key="k") for _ in range(20)))
    assert {(repeat.status_code, repeat.content) for repeat in repeats} == {(201, first.content)}
    other = await gateway.order({item: 1}, key="other")
    assert other.status_code == 409
    changed = await gateway.order({item: 2}, key="k")
    assert changed.status_code == 422


async def test_a_repeat_is_not_refused_as_sold_out_while_a_commit_may_be_writing_its_order(
    gateway: RunningGateway, stock: FakeStock, servers: FixtureServers
) -> None:
    item = stock.stock_up(1)
    async with servers.database_as_admin() as rogue:
        lock = rogue.transaction()
        await lock.start()
        await rogue.execute("LOCK TABLE gateway.orders IN SHARE MODE")
        first = await gateway.order({item: 1}, key="k")
        assert first.status_code == 503  # its commit still waits, its request has timed out
        stock.version += 1
        stock.portions[item], bought = 0, stock.portions[item]
        await stock.publish_availability()
        await until(lambda: menu_of(gateway, 1))
        repeat = await gateway.order({item: 1}, key="k")
        other = await gateway.order({item: 1}, key="other")
        stock.portions[item] = bought  # given back before the order's commit can continue and ask for it
        await lock.rollback()
    assert (repeat.status_code, other.status_code) == (503, 409)
    await until(lambda: is_accepted(gateway, item))
    assert await gateway.count("orders") == 1


async def is_accepted(gateway: RunningGateway, item: UUID) -> bool:
    return bool((await gateway.order({item: 1}, key="k")).status_code == 201)


async def test_an_older_version_neither_replaces_nor_renews(
    gateway: RunningGateway, stock: FakeStock
) -> None:
    item = stock.stock_up(7)
    stock.version = 5
    await stock.publish_availability()
    await until(lambda: menu_of(gateway, 1, least=7))
    stock.version, stock.portions[item] = 4, 0
    await stock.publish_availability()
    marker = stock.stock_up(1)
    await stock.publish_availability()
    menu = await until(lambda: menu_of(gateway, 2))
    assert {entry["item_id"]: entry["available"] for entry in menu} == {str(item): 7, str(marker): 1}


async def test_it_is_ready_once_stock_has_published_all_items(
    open_gateway: OpenGateway, stock: FakeStock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability_cache, "MENU_AWAITED_S", 60.0)  # longer than this test waits
    gateway = await open_gateway()
    early = await gateway.web.get("/health/ready")
    assert early.status_code == 503
    assert early.json()["dependencies"]["menu"] == "unavailable: stock has not published yet what is left"
    stock.stock_up(1)
    await stock.publish_availability()
    await until(lambda: is_ready(gateway))


async def test_without_stock_it_is_ready_after_five_seconds(open_gateway: OpenGateway) -> None:
    gateway = await open_gateway()
    await until(lambda: is_ready(gateway))


async def is_ready(gateway: RunningGateway) -> bool:
    return bool((await gateway.web.get("/health/ready")).status_code == 200)


async def menu_of(gateway: RunningGateway, count: int, *, least: int = 0) -> Any:
    """The menu once it has so many items, the fullest with at least so many portions."""
    menu = (await gateway.web.get("/v1/menu")).json()["items"]
    known = [item["available"] for item in menu if item["available"] is not None]
    return menu if len(menu) >= count and max(known, default=0) >= least else None


async def shows(gateway: RunningGateway, item: UUID, available: int) -> bool:
    menu = (await gateway.web.get("/v1/menu")).json()["items"]
    return (str(item), available) in {(entry["item_id"], entry["available"]) for entry in menu}


async def menu_with_unknown(gateway: RunningGateway) -> Any:
    menu = (await gateway.web.get("/v1/menu")).json()["items"]
    return menu if any(item["available"] is None for item in menu) else None
