"""The kitchen refuses what it cannot make, until a cook has begun; the event tells that it was the kitchen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from cafeteria.contracts.kitchen import CookOrder
from cafeteria.contracts.values import RejectionReason

if TYPE_CHECKING:
    import httpx

    from conftest import Kitchen, OpenKitchen

WHY = {"reason": "The fryer is broken."}


async def a_queued_order(kitchen: Kitchen) -> CookOrder:
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("QUEUED", 1)
    return order


async def refuse(kitchen: Kitchen, order: CookOrder, body: dict[str, str] = WHY) -> httpx.Response:
    return await kitchen.web.post(await path_of(kitchen, order, "refuse"), json=body)


async def path_of(kitchen: Kitchen, order: CookOrder, action: str) -> str:
    ticket = await kitchen.database.ticket_of(order)
    return f"/v1/tickets/{ticket['id']}/{action}"


async def test_a_refused_ticket_is_cancelled_and_its_event_names_the_kitchen(
    open_kitchen: OpenKitchen,
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)

    first = await refuse(kitchen, order)
    again = await refuse(kitchen, order, {"reason": "Something else."})

    assert (first.status_code, first.json()["status"], first.json()["version"]) == (200, "CANCELLED", 3)
    assert first.json()["refusal"] == WHY["reason"]
    assert (again.status_code, again.json()) == (200, first.json())
    [event] = await kitchen.wait_for_events(order, count=1)
    assert (event.status, event.version, event.reason) == ("CANCELLED", 3, RejectionReason.KITCHEN)
    assert await kitchen.database.history_of(order) == ["CANCELLED"]


@pytest.mark.parametrize("status", ["IN_KITCHEN", "READY", "COLLECTED"])
async def test_what_a_cook_has_begun_cannot_be_refused(open_kitchen: OpenKitchen, status: str) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)
    await kitchen.act_until(order, status)
    before = await kitchen.database.ticket_of(order)

    answer = await refuse(kitchen, order)

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/illegal-transition")
    assert await kitchen.database.ticket_of(order) == before


async def test_the_first_to_cancel_is_named_to_the_student(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    cancelled, refused = await kitchen.gateway.place_some(2)
    await kitchen.wait_for_tickets("QUEUED", 2)

    assert (await kitchen.gateway.cancel(cancelled)).reason is None
    late = await refuse(kitchen, cancelled)
    assert (await refuse(kitchen, refused)).status_code == 200
    answered = await kitchen.gateway.cancel(refused)

    assert late.status_code == 409
    assert (answered.cancelled, answered.reason) == (True, RejectionReason.KITCHEN)
    [own] = await kitchen.wait_for_events(cancelled, count=1)
    assert own.reason is None


async def test_refusing_and_starting_at_once_end_in_one_of_the_two(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    orders = await kitchen.gateway.place_some(10)
    await kitchen.wait_for_tickets("QUEUED", 10)

    for order in orders:
        paths = [await path_of(kitchen, order, action) for action in ("refuse", "start")]
        refused, started = await asyncio.gather(
            kitchen.web.post(paths[0], json=WHY), kitchen.web.post(paths[1])
        )
        assert sorted((refused.status_code, started.status_code)) == [200, 409]
        wanted = "CANCELLED" if refused.status_code == 200 else "IN_KITCHEN"
        assert await kitchen.database.history_of(order) == [wanted]


async def test_a_kitchen_that_cooks_by_itself_can_refuse_what_still_waits(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(stations=1, prep_min_s=60.0, prep_max_s=60.0)
    first = await a_queued_or_cooking(kitchen)
    [waiting] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("QUEUED", 1)

    assert (await refuse(kitchen, waiting)).status_code == 200
    assert (await refuse(kitchen, first)).status_code == 409


async def a_queued_or_cooking(kitchen: Kitchen) -> CookOrder:
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("IN_KITCHEN", 1)
    return order


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x" * 201}, {"reason": "a", "more": 1}])
async def test_a_refusal_needs_a_short_reason(open_kitchen: OpenKitchen, body: dict[str, str]) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)
    assert (await refuse(kitchen, order, body)).status_code == 400
    assert (await kitchen.database.ticket_of(order))["status"] == "QUEUED"
