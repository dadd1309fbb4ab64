"""A paused and a full kitchen, over HTTP, against real servers: who is refused, what a refusal leaves, and who is not."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts import subjects
from cafeteria.contracts.kitchen import KitchenMode, Pace
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import FakeKitchen, FakeStock, OpenGateway, RunningGateway


async def say(kitchen: FakeKitchen, gateway: RunningGateway, *, queued: int = 0, **change: object) -> None:
    """Say a pace as the kitchen does, and wait until the gateway keeps it."""
    pace = Pace(
        at=now(),
        is_open=True,
        reopens_at=None,
        delay_s=0,
        mode=KitchenMode.AUTO,
        queued=queued,
        in_kitchen=0,
        ready=0,
        stations=2,
        per_min=60.0,
        prep_p50_s=1.0,
        prep_p90_s=2.0,
    )
    said = msgspec.structs.replace(pace, **change)
    await kitchen.client.publish(subjects.PACE.subject, msgspec.json.encode(said))
    await until(lambda: gateway.service.kitchen_pace.said_at == said.at)


async def test_a_pause_refuses_new_orders_until_it_ends_and_answers_repeats(
    open_gateway: OpenGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    gateway, item = await open_gateway(), stock.stock_up(100)
    first = await gateway.order({item: 1}, key="before")
    stock.stop_answering()
    assert (await gateway.order({item: 1}, key="undecided")).status_code == 202
    reopens_at = now() + timedelta(seconds=30)
    await say(kitchen, gateway, is_open=False, reopens_at=reopens_at)
    refused = await gateway.order({item: 1}, key="while")
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/intake-paused")
    assert 0 < int(refused.headers["Retry-After"]) <= 30
    assert msgspec.convert(refused.json()["reopens_at"], type(reopens_at), strict=False) == reopens_at
    assert "ordered nothing" in refused.json()["detail"]
    assert await gateway.count("orders") == await gateway.count("idempotency_keys") == 2
    again = await gateway.order({item: 1}, key="before")
    assert (again.status_code, again.content) == (201, first.content)
    stock.resume_answering()
    assert (await gateway.order({item: 1}, key="undecided")).status_code == 201
    assert (await gateway.order({item: 2}, key="before")).status_code == 422
    metrics = (await gateway.web.get("/metrics")).text
    assert 'cafeteria_gateway_orders_refused_total{code="intake-paused"} 1.0' in metrics
    await say(kitchen, gateway)
    assert (await gateway.order({item: 1}, key="while")).status_code == 201


async def test_a_rush_within_one_pace_ends_at_the_limit_and_repeats_take_no_place(
    open_gateway: OpenGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    gateway, item = await open_gateway(kitchen_limit=20), stock.stock_up(500)
    first = await gateway.order({item: 1}, key="k0")
    await say(kitchen, gateway, queued=10)
    repeats = [gateway.order({item: 1}, key="k0") for _ in range(12)]
    assert {answer.content for answer in await asyncio.gather(*repeats)} == {first.content}
    keys = [f"k{number}" for number in range(1, 61)]
    answers = await asyncio.gather(*(gateway.order({item: 1}, key=key) for key in keys))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {
        201: 9,
        503: 51,
    }  # 20 less the 10 that queue and the first one, which no pace has counted yet
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.json()["type"] for answer in refused} == {"/problems/kitchen-full"}
    assert {answer.json()["orders_in_progress"] for answer in refused} == {20}
    assert {int(answer.headers["Retry-After"]) for answer in refused} == {1}
    assert stock.portions[item] == 490
    again = await asyncio.gather(*(gateway.order({item: 1}, key=key) for key in keys))
    assert [answer.content for answer in again if answer.status_code == 201] == [
        answer.content for answer in answers if answer.status_code == 201
    ]
    assert await gateway.count("orders") == await gateway.count("idempotency_keys") == 10


async def test_orders_that_stock_rejects_leave_their_places(
    open_gateway: OpenGateway, stock: FakeStock, kitchen: FakeKitchen
) -> None:
    gateway, item, gone = await open_gateway(kitchen_limit=3), stock.stock_up(9), stock.stock_up(0)
    await say(kitchen, gateway)
    for _ in range(5):
        assert (await gateway.order({gone: 1})).status_code == 409
    assert [(await gateway.order({item: 1})).status_code for _ in range(4)] == [201, 201, 201, 503]
