"""A customer cancels before, while and after the kitchen cooks: the answer and the ticket agree, and stay so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from cafeteria.contracts.kitchen import CancelAnswered, CookOrder
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import OpenKitchen

_STARTED = "SELECT count(*) FROM kitchen.order_status_history WHERE status = 'IN_KITCHEN'"


async def test_an_order_cancelled_before_its_cook_command_arrives_is_never_cooked(
    open_kitchen: OpenKitchen, servers: FixtureServers
) -> None:
    kitchen = await open_kitchen()
    order = kitchen.gateway.an_order()

    answer = await kitchen.gateway.cancel(order)
    await kitchen.gateway.place(order)
    [other] = await kitchen.gateway.place_some(1)

    assert (answer.cancelled, answer.status, answer.version) == (True, "CANCELLED", 3)
    await kitchen.wait_for_events(other, count=2)
    await until(lambda: kitchen.gateway.work_is_acknowledged(servers))
    assert await kitchen.database.status_of(order) == "CANCELLED"
    assert await kitchen.database.history_of(order) == ["CANCELLED"]


async def test_cancelling_a_queued_order_publishes_one_event_with_the_path_before_it(
    open_kitchen: OpenKitchen,
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("QUEUED", 1)

    answer = await kitchen.gateway.cancel(order)

    [event] = await kitchen.wait_for_events(order, count=1)
    assert (event.status, event.version, event.at) == ("CANCELLED", 3, answer.at)
    assert event.earlier == order.earlier
    assert event.student_id == order.student_id
    assert await kitchen.database.history_of(order) == ["CANCELLED"]


async def test_parallel_repeats_on_two_replicas_get_the_same_answer_and_publish_one_event(
    open_kitchen: OpenKitchen,
) -> None:
    kitchen = await open_kitchen(replicas=2)
    order = kitchen.gateway.an_order()

    answers = await asyncio.gather(*(kitchen.gateway.cancel(order) for _ in range(30)))

    assert len(set(answers)) == 1
    assert len(await kitchen.wait_for_events(order, count=1)) == 1
    assert await kitchen.database.history_of(order) == ["CANCELLED"]


@pytest.mark.parametrize(("status", "version"), [("IN_KITCHEN", 3), ("READY", 4), ("COLLECTED", 5)])
async def test_once_cooking_has_begun_the_answer_has_the_tickets_state(
    open_kitchen: OpenKitchen, status: str, version: int
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("QUEUED", 1)
    await kitchen.act_until(order, status)
    before = await kitchen.database.ticket_of(order)

    answer = await kitchen.gateway.cancel(order)

    assert (answer.cancelled, answer.status, answer.version) == (False, status, version)
    assert await kitchen.database.ticket_of(order) == before


async def test_each_order_is_either_cancelled_or_cooked_when_both_race(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(replicas=2, stations=7)
    orders = [kitchen.gateway.an_order() for _ in range(150)]
    soon, late = orders[:138], orders[138:]

    async def cancel_after(order: CookOrder, *, round_trips: int) -> CancelAnswered:
        for _ in range(round_trips):
            await kitchen.gateway.check_delivery(order.order_id)
        return await kitchen.gateway.cancel(order)

    cancels = [cancel_after(order, round_trips=number % 12) for number, order in enumerate(soon)]
    _, answers = await asyncio.gather(kitchen.gateway.place(*orders), asyncio.gather(*cancels))
    # every cancel request above may have arrived before its cook command
    await until(lambda: kitchen.database.value(_STARTED))
    answers += await asyncio.gather(*map(kitchen.gateway.cancel, late))

    cancelled = [order for order, answer in zip(orders, answers, strict=True) if answer.cancelled]
    cooked = [order for order, answer in zip(orders, answers, strict=True) if not answer.cancelled]
    await kitchen.wait_for_tickets("READY", len(cooked))
    assert cancelled
    assert cooked
    for order in cancelled:
        assert await kitchen.database.history_of(order) == ["CANCELLED"]
    for order in cooked:
        assert await kitchen.database.history_of(order) == ["IN_KITCHEN", "READY"]
