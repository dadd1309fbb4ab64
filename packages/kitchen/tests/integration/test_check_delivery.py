"""Delivery checks: every ticket counts as delivered, and while the kitchen lags it reports nothing as missing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from cafeteria.chassis.messaging.jetstream_api import LAG_LIMIT_MESSAGES
from cafeteria.contracts import subjects
from cafeteria.kitchen.use_cases import check_delivery
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import Kitchen, OpenKitchen

CONSUMER_INFO = f"$JS.API.CONSUMER.INFO.{subjects.KITCHEN_WORK.stream}.{subjects.KITCHEN_WORK.name}"
ACCOUNT_INFO = "$JS.API.INFO"


async def test_queued_cooked_and_cancelled_orders_are_delivered_and_others_are_missing(
    open_kitchen: OpenKitchen,
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    queued, cooked = await kitchen.gateway.place_some(2)
    await kitchen.wait_for_tickets("QUEUED", 2)
    await kitchen.act(cooked, "start")
    cancelled, unknown = kitchen.gateway.an_order(), kitchen.gateway.an_order()
    await kitchen.gateway.cancel(cancelled)

    answer = await kitchen.gateway.check_delivery(
        *(order.order_id for order in (queued, cooked, cancelled, unknown))
    )

    assert [item.order_id for item in answer.missing] == [unknown.order_id]
    assert not answer.behind


async def test_a_kitchen_with_a_large_lag_reports_nothing_as_missing(
    open_kitchen: OpenKitchen, servers: FixtureServers
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    async with servers.database_as_admin() as slow, slow.transaction():
        await slow.execute("LOCK TABLE kitchen.kitchen_orders IN SHARE MODE")  # blocks inserts, not reads
        orders = [(await kitchen.gateway.place_some(1))[0] for _ in range(LAG_LIMIT_MESSAGES)]
        await until(lambda: _is_lagging(kitchen, servers))

        answer = await kitchen.gateway.check_delivery(orders[-1].order_id)

    assert answer.behind
    assert answer.missing == ()
    await kitchen.wait_for_tickets("QUEUED", len(orders))
    await until(lambda: kitchen.gateway.work_is_acknowledged(servers))
    answer = await kitchen.gateway.check_delivery(orders[-1].order_id)
    assert not answer.behind
    assert answer.missing == ()


async def _is_lagging(kitchen: Kitchen, servers: FixtureServers) -> bool:
    return await kitchen.gateway.unacknowledged_work(servers) >= LAG_LIMIT_MESSAGES


async def test_the_lag_is_counted_once_for_many_delivery_checks(
    open_kitchen: OpenKitchen, servers: FixtureServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # longer than a slow machine takes for all fifty checks
    monkeypatch.setattr(check_delivery, "LAG_VALID_FOR_S", 60.0)
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    unknown = kitchen.gateway.an_order()

    async with servers.bus_as("admin") as admin:
        advisories = await admin.subscribe("$JS.EVENT.ADVISORY.API")
        await admin.flush_all()
        await asyncio.gather(*(kitchen.gateway.check_delivery(unknown.order_id) for _ in range(50)))
        await admin.jetstream().account_info()
        requests: list[str] = []
        # the server publishes an advisory a moment after the answer
        while not {CONSUMER_INFO, ACCOUNT_INFO} <= set(requests):
            requests.append(msgspec.json.decode((await advisories.next_msg(timeout=20)).data)["subject"])

    assert requests.count(CONSUMER_INFO) == 1
