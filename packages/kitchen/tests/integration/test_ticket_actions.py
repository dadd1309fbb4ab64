"""The kitchen's HTTP interface: ticket actions, the board and the load, and the answers to impossible requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from cafeteria.contracts.kitchen import CookOrder
from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Kitchen, OpenKitchen

ACTIONS = ("start", "ready", "collect")
STATES = ("QUEUED", "IN_KITCHEN", "READY", "COLLECTED")


async def a_queued_order(kitchen: Kitchen) -> CookOrder:
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("QUEUED", 1)
    return order


async def test_people_start_finish_and_hand_out_an_order_and_each_action_is_published(
    open_kitchen: OpenKitchen,
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)

    await kitchen.act_until(order, "COLLECTED")

    events = await kitchen.wait_for_events(order, count=3)
    assert [(each.status, each.version) for each in events] == [
        ("IN_KITCHEN", 3),
        ("READY", 4),
        ("COLLECTED", 5),
    ]
    assert [step.version for step in events[-1].earlier] == [1, 2, 3, 4]
    assert await kitchen.database.history_of(order) == ["IN_KITCHEN", "READY", "COLLECTED"]


@pytest.mark.parametrize("status", STATES)
async def test_every_action_in_every_state(open_kitchen: OpenKitchen, status: str) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)
    if status != "QUEUED":
        await kitchen.act_until(order, status)
    before = await kitchen.database.ticket_of(order)
    follows, repeats = STATES.index(status), STATES.index(status) - 1

    for number, action in reversed(list(enumerate(ACTIONS))):
        if number == follows:
            continue
        answer = await kitchen.act(order, action)
        if number == repeats:
            assert (answer.status_code, answer.json()["status"]) == (200, status)
        else:
            problem = answer.json()
            assert (answer.status_code, problem["type"]) == (409, "/problems/illegal-transition")
            assert f"is {status} " in problem["detail"]
            assert problem["order_id"] == str(order.order_id)
        assert await kitchen.database.ticket_of(order) == before

    if follows < len(ACTIONS):
        answer = await kitchen.act(order, ACTIONS[follows])
        assert (answer.status_code, answer.json()["status"]) == (200, STATES[follows + 1])


async def test_a_cancelled_ticket_refuses_every_action(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)
    await kitchen.gateway.cancel(order)

    for action in ACTIONS:
        answer = await kitchen.act(order, action)
        assert answer.status_code == 409
        assert "is CANCELLED " in answer.json()["detail"]


async def test_twenty_parallel_start_actions_move_the_ticket_once(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)
    path = f"/v1/tickets/{(await kitchen.database.ticket_of(order))['id']}/start"

    answers = await asyncio.gather(*(kitchen.web.post(path) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert await kitchen.database.history_of(order) == ["IN_KITCHEN"]


async def test_where_the_kitchen_cooks_by_itself_people_only_collect(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(prep_min_s=60.0, prep_max_s=60.0, stations=1)
    [cooking] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("IN_KITCHEN", 1)
    [waiting] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("QUEUED", 1)

    for order, action in ((waiting, "start"), (cooking, "ready")):
        answer = await kitchen.act(order, action)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/illegal-transition")
        assert "by itself" in answer.json()["detail"]


async def test_a_meal_cooked_by_itself_is_collected_by_people(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen()
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("READY", 1)

    answer = await kitchen.act(order, "collect")

    assert answer.status_code == 200
    assert answer.json()["collected_at"] is not None
    assert [event.status for event in await kitchen.wait_for_events(order, count=3)] == [
        "IN_KITCHEN",
        "READY",
        "COLLECTED",
    ]


async def test_an_action_on_an_unknown_ticket_is_404(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")

    answer = await kitchen.web.post(f"/v1/tickets/{uuid4()}/start")

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


async def test_each_role_may_use_only_its_own_routes(open_kitchen: OpenKitchen, tokens: Tokens) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)
    ticket_id = (await kitchen.database.ticket_of(order))["id"]
    student, operator = tokens.header(tokens.student()), tokens.header(tokens.operator())
    invalid_token = {"Authorization": "Bearer nothing"}

    for action in ACTIONS:
        path = f"/v1/tickets/{ticket_id}/{action}"
        assert (await kitchen.web.post(path, headers=student)).status_code == 403
        assert (await kitchen.web.post(path, headers=operator)).status_code == 403
        assert (await kitchen.web.post(path, headers=invalid_token)).status_code == 401
    assert (await kitchen.web.get("/v1/tickets", headers=student)).status_code == 403
    assert (await kitchen.web.get("/v1/tickets", headers=operator)).status_code == 200
    assert (await kitchen.web.get("/v1/load", headers=student)).status_code == 200
    assert (await kitchen.web.get("/v1/load", headers=invalid_token)).status_code == 401


async def test_the_board_shows_work_oldest_first_page_by_page_and_the_rest_newest_first(
    open_kitchen: OpenKitchen,
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    orders = []
    for count in range(1, 6):
        orders += await kitchen.gateway.place_some(1)
        await kitchen.wait_for_tickets("QUEUED", count)
    placed_ids = [str(order.order_id) for order in orders]

    queued = await pages(kitchen, status="QUEUED")
    everything = await pages(kitchen)

    assert [[ticket["order_id"] for ticket in page] for page in queued] == [
        placed_ids[:2],
        placed_ids[2:4],
        placed_ids[4:],
    ]
    assert [ticket["order_id"] for page in everything for ticket in page] == placed_ids[::-1]
    assert queued[0][0]["lines"][0] == {
        "item_id": str(orders[0].lines[0].item_id),
        "name": "Haleem",
        "quantity": 2,
        "unit_price": "120.50",
    }
    assert await pages(kitchen, status="READY") == [[]]


async def pages(kitchen: Kitchen, **query: str) -> list[list[dict[str, Any]]]:
    found = []
    cursor: dict[str, str] = {}
    while True:
        answer = await kitchen.web.get("/v1/tickets", params={"limit": 2, **query, **cursor})
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["items"])
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


@pytest.mark.parametrize("query", [{"status": "BURNT"}, {"cursor": "no-such-cursor"}, {"limit": "0"}])
async def test_an_invalid_query_is_400(open_kitchen: OpenKitchen, query: dict[str, str]) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")

    answer = await kitchen.web.get("/v1/tickets", params=query)

    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")


async def test_the_load_counts_tickets_by_state_and_the_stations(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(prep_min_s=60.0, prep_max_s=60.0, stations=2)
    await kitchen.gateway.place_some(5)
    await kitchen.wait_for_tickets("QUEUED", 3)

    answer = await kitchen.web.get("/v1/load")

    assert answer.json() == {"queued": 3, "in_kitchen": 2, "ready": 0, "stations": 2}


async def test_a_manual_kitchen_has_no_number_of_stations(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")

    assert (await kitchen.web.get("/v1/load")).json()["stations"] is None
