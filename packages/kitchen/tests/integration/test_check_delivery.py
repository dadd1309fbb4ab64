"""What the kitchen says it has: any ticket counts, and while it is behind it judges nothing."""

import asyncio
from typing import Any

import msgspec
import pytest

from cafeteria.chassis.messaging.jetstream_api import BEHIND_MESSAGES
from cafeteria.contracts import subjects
from cafeteria.kitchen.use_cases import check_delivery
from cafeteria.testkit.plugin import until

COUNT = f"$JS.API.CONSUMER.INFO.{subjects.KITCHEN_WORK.stream}.{subjects.KITCHEN_WORK.name}"
LAST = "$JS.API.INFO"


async def test_queued_cooked_and_cancelled_orders_are_known_and_others_are_not(open_kitchen: Any) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    queued, cooked = await kitchen.gateway.place_some(2)
    await kitchen.all_stand("QUEUED", 2)
    await kitchen.press(cooked, "start")
    cancelled, unknown = kitchen.gateway.an_order(), kitchen.gateway.an_order()
    await kitchen.gateway.cancel(cancelled)

    answer = await kitchen.gateway.ask_known(
        *(order.order_id for order in (queued, cooked, cancelled, unknown))
    )

    assert [item.order_id for item in answer.missing] == [unknown.order_id]
    assert not answer.behind


async def test_a_kitchen_far_behind_its_work_calls_nothing_missing(open_kitchen: Any, servers: Any) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    async with servers.database_as_admin() as slow, slow.transaction():
        await slow.execute("LOCK TABLE kitchen.kitchen_orders IN SHARE MODE")  # reads go on, inserts wait
        orders = [(await kitchen.gateway.place_some(1))[0] for _ in range(BEHIND_MESSAGES)]
        await until(lambda: _all_wait(kitchen, servers))

        answer = await kitchen.gateway.ask_known(orders[-1].order_id)

    assert answer.behind
    assert answer.missing == ()
    await kitchen.all_stand("QUEUED", len(orders))
    await until(lambda: kitchen.gateway.has_been_heard(servers))
    answer = await kitchen.gateway.ask_known(orders[-1].order_id)
    assert not answer.behind
    assert answer.missing == ()


async def _all_wait(kitchen: Any, servers: Any) -> bool:
    return await kitchen.gateway.work_waiting(servers) >= BEHIND_MESSAGES


async def test_the_backlog_is_counted_once_for_many_questions(
    open_kitchen: Any, servers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        check_delivery, "LAG_VALID_FOR_S", 60.0
    )  # longer than a slow machine takes for all fifty
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    unknown = kitchen.gateway.an_order()

    async with servers.bus_as("admin") as admin:
        advisories = await admin.subscribe("$JS.EVENT.ADVISORY.API")
        await admin.flush_all()
        await asyncio.gather(*(kitchen.gateway.ask_known(unknown.order_id) for _ in range(50)))
        await admin.jetstream().account_info()
        asked: list[str] = []
        while not {COUNT, LAST} <= set(asked):  # the server tells of a request a moment after its answer
            asked.append(msgspec.json.decode((await advisories.next_msg(timeout=20)).data)["subject"])

    assert asked.count(COUNT) == 1
