"""What people in the kitchen see and press, and what they are told when a press makes no sense."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

PRESSES = ("start", "ready", "collect")
STATES = ("QUEUED", "IN_KITCHEN", "READY", "COLLECTED")


async def a_queued_order(kitchen: Any) -> Any:
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.all_stand("QUEUED", 1)
    return order


async def test_people_start_finish_and_hand_out_an_order_and_each_press_is_told(open_kitchen: Any) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)

    await kitchen.press_until(order, "COLLECTED")

    news = await kitchen.hear(order, count=3)
    assert [(each.status, each.version) for each in news] == [
        ("IN_KITCHEN", 3),
        ("READY", 4),
        ("COLLECTED", 5),
    ]
    assert [step.version for step in news[-1].earlier] == [1, 2, 3, 4]
    assert await kitchen.books.history_of(order) == ["IN_KITCHEN", "READY", "COLLECTED"]


@pytest.mark.parametrize("standing", STATES)
async def test_every_press_in_every_state(open_kitchen: Any, standing: str) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)
    if standing != "QUEUED":
        await kitchen.press_until(order, standing)
    before = await kitchen.books.ticket_of(order)
    follows, repeats = STATES.index(standing), STATES.index(standing) - 1

    for number, press in reversed(list(enumerate(PRESSES))):
        if number == follows:
            continue
        answer = await kitchen.press(order, press)
        if number == repeats:
            assert (answer.status_code, answer.json()["status"]) == (200, standing)
        else:
            problem = answer.json()
            assert (answer.status_code, problem["type"]) == (409, "/problems/illegal-transition")
            assert f"is {standing} " in problem["detail"]
            assert problem["order_id"] == str(order.order_id)
        assert await kitchen.books.ticket_of(order) == before

    if follows < len(PRESSES):
        answer = await kitchen.press(order, PRESSES[follows])
        assert (answer.status_code, answer.json()["status"]) == (200, STATES[follows + 1])


async def test_a_cancelled_ticket_takes_no_press(open_kitchen: Any) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)
    await kitchen.gateway.cancel(order)

    for press in PRESSES:
        answer = await kitchen.press(order, press)
        assert answer.status_code == 409
        assert "is CANCELLED " in answer.json()["detail"]


async def test_twenty_people_press_at_once_and_the_ticket_moves_once(open_kitchen: Any) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)
    path = f"/v1/tickets/{(await kitchen.books.ticket_of(order))['id']}/start"

    answers = await asyncio.gather(*(kitchen.web.post(path) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert await kitchen.books.history_of(order) == ["IN_KITCHEN"]


async def test_where_the_kitchen_cooks_by_itself_people_only_collect(open_kitchen: Any) -> None:
    kitchen = await open_kitchen(prep_min_s=60.0, prep_max_s=60.0, stations=1)
    [cooking] = await kitchen.gateway.place_some(1)
    await kitchen.all_stand("IN_KITCHEN", 1)
    [waiting] = await kitchen.gateway.place_some(1)
    await kitchen.all_stand("QUEUED", 1)

    for order, press in ((waiting, "start"), (cooking, "ready")):
        answer = await kitchen.press(order, press)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/illegal-transition")
        assert "by itself" in answer.json()["detail"]


async def test_a_meal_cooked_by_itself_is_collected_by_people(open_kitchen: Any) -> None:
    kitchen = await open_kitchen()
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.all_stand("READY", 1)

    answer = await kitchen.press(order, "collect")

    assert answer.status_code == 200
    assert answer.json()["collected_at"] is not None
    assert [news.status for news in await kitchen.hear(order, count=3)] == [
        "IN_KITCHEN",
        "READY",
        "COLLECTED",
    ]


async def test_a_ticket_that_is_not_there_is_404(open_kitchen: Any) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")

    answer = await kitchen.web.post(f"/v1/tickets/{uuid4()}/start")

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


async def test_who_may_see_and_who_may_press(open_kitchen: Any, tokens: Any) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    order = await a_queued_order(kitchen)
    ticket_id = (await kitchen.books.ticket_of(order))["id"]
    student, operator = tokens.header(tokens.student()), tokens.header(tokens.operator())
    nobody = {"Authorization": "Bearer nothing"}

    for press in PRESSES:
        path = f"/v1/tickets/{ticket_id}/{press}"
        assert (await kitchen.web.post(path, headers=student)).status_code == 403
        assert (await kitchen.web.post(path, headers=operator)).status_code == 403
        assert (await kitchen.web.post(path, headers=nobody)).status_code == 401
    assert (await kitchen.web.get("/v1/tickets", headers=student)).status_code == 403
    assert (await kitchen.web.get("/v1/tickets", headers=operator)).status_code == 200
    assert (await kitchen.web.get("/v1/load", headers=student)).status_code == 200
    assert (await kitchen.web.get("/v1/load", headers=nobody)).status_code == 401


async def test_the_board_shows_work_oldest_first_page_by_page_and_the_rest_newest_first(
    open_kitchen: Any,
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    orders = []
    for count in range(1, 6):
        orders += await kitchen.gateway.place_some(1)
        await kitchen.all_stand("QUEUED", count)
    placed = [str(order.order_id) for order in orders]

    queued = await pages(kitchen, status="QUEUED")
    everything = await pages(kitchen)

    assert [[ticket["order_id"] for ticket in page] for page in queued] == [
        placed[:2],
        placed[2:4],
        placed[4:],
    ]
    assert [ticket["order_id"] for page in everything for ticket in page] == placed[::-1]
    assert queued[0][0]["lines"][0] == {
        "item_id": str(orders[0].lines[0].item_id),
        "name": "Haleem",
        "quantity": 2,
        "unit_price": "120.50",
    }
    assert await pages(kitchen, status="READY") == [[]]


async def pages(kitchen: Any, **query: str) -> list[list[dict[str, Any]]]:
    found, cursor = [], {}
    while True:
        answer = await kitchen.web.get("/v1/tickets", params={"limit": 2, **query, **cursor})
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["items"])
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


@pytest.mark.parametrize("query", [{"status": "BURNT"}, {"cursor": "no-such-cursor"}, {"limit": "0"}])
async def test_a_question_that_makes_no_sense_is_400(open_kitchen: Any, query: dict[str, str]) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")

    answer = await kitchen.web.get("/v1/tickets", params=query)

    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")


async def test_the_load_says_how_busy_the_kitchen_is(open_kitchen: Any) -> None:
    kitchen = await open_kitchen(prep_min_s=60.0, prep_max_s=60.0, stations=2)
    await kitchen.gateway.place_some(5)
    await kitchen.all_stand("QUEUED", 3)

    answer = await kitchen.web.get("/v1/load")

    assert answer.json() == {"queued": 3, "in_kitchen": 2, "ready": 0, "stations": 2}


async def test_where_people_press_there_is_no_number_of_stations(open_kitchen: Any) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")

    assert (await kitchen.web.get("/v1/load")).json()["stations"] is None
