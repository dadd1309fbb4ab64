"""Numbers, codes and boards: what the kitchen's screens and the hall's screen show of the same tickets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import Kitchen, OpenKitchen

from cafeteria.contracts.kitchen import CookOrder

SECRETS = ("code", "order_id", "student", "name", "lines", "id")


async def tickets_of(kitchen: Kitchen, orders: list[CookOrder]) -> list[dict[str, Any]]:
    found = {ticket["order_id"]: ticket for ticket in (await kitchen.web.get("/v1/tickets")).json()["items"]}
    return [found[str(order.order_id)] for order in orders]


async def test_number_and_code_stay_the_same_on_every_event_and_answer(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("QUEUED", 1)
    [queued] = await tickets_of(kitchen, [order])

    await kitchen.act_until(order, "COLLECTED")

    [collected] = await tickets_of(kitchen, [order])
    events = await kitchen.wait_for_events(order, count=3)
    shown = [{"number": each.pickup.number, "code": each.pickup.code} for each in events if each.pickup]
    assert shown == [queued["pickup"]] * 3
    assert collected["pickup"] == queued["pickup"]


async def test_a_cancelled_order_has_no_pickup_in_its_event(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("QUEUED", 1)
    await kitchen.gateway.cancel(order)
    [event] = await kitchen.wait_for_events(order, count=1)
    assert (event.version, event.pickup) == (3, None)


async def test_a_ticket_is_found_by_its_number_and_by_its_code(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    orders = await kitchen.gateway.place_some(5)
    await kitchen.wait_for_tickets("QUEUED", 5)
    tickets = await tickets_of(kitchen, orders)

    for ticket in tickets:
        pickup = ticket["pickup"]
        for query in (
            {"code": pickup["code"]},
            {"code": pickup["code"].lower()},
            {"number": pickup["number"]},
        ):
            answer = await kitchen.web.get("/v1/tickets", params=query)
            assert (answer.status_code, answer.json()) == (200, {"items": [ticket], "next_cursor": None})

    unused = (max(ticket["pickup"]["number"] for ticket in tickets) + 500) % 1_000
    for query in ({"number": unused}, {"code": "0000"}, {"code": "2222"}):
        assert (await kitchen.web.get("/v1/tickets", params=query)).json()["items"] == []
    for malformed in ({"number": 1_000}, {"number": -1}, {"code": "K7F"}, {"code": "K-F2"}):
        assert (await kitchen.web.get("/v1/tickets", params=malformed)).status_code == 400


async def test_the_kitchens_board_is_one_picture_of_tickets_totals_and_load(
    open_kitchen: OpenKitchen,
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    orders = await kitchen.gateway.place_some(3)
    await kitchen.wait_for_tickets("QUEUED", 3)
    await kitchen.act_until(orders[0], "READY")
    await kitchen.act_until(orders[1], "IN_KITCHEN")

    async def is_shown() -> dict[str, Any] | None:
        board: dict[str, Any] = (await kitchen.web.get("/v1/tickets/board")).json()
        return board if board["load"]["in_kitchen"] == 1 else None

    board = await until(is_shown)

    assert [
        [ticket["order_id"] for ticket in board[state]] for state in ("ready", "in_kitchen", "queued")
    ] == [[str(order.order_id)] for order in orders]
    assert board["load"] == {"queued": 1, "in_kitchen": 1, "ready": 1, "stations": None}
    assert board["mode"] == "manual"
    assert board["intake"]["is_open"] is True
    totals = {
        (total["item_id"], total["name"]): (total["queued"], total["in_kitchen"]) for total in board["totals"]
    }
    assert totals == {
        (str(line.item_id), line.name): (0, line.quantity) if order is orders[1] else (line.quantity, 0)
        for order in orders[1:]
        for line in order.lines
    }


async def test_the_hall_reads_numbers_alone_and_without_a_token(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    orders = await kitchen.gateway.place_some(3)
    await kitchen.wait_for_tickets("QUEUED", 3)
    await kitchen.act_until(orders[0], "READY")
    await kitchen.act_until(orders[1], "IN_KITCHEN")
    tickets = await tickets_of(kitchen, orders)

    async def is_shown() -> dict[str, Any] | None:
        answer = await kitchen.web.get("/v1/board", headers={"Authorization": ""})
        board: dict[str, Any] = answer.json()
        return board if board["ready"] and board["cooking"] else None

    board = await until(is_shown)

    assert board["ready"] == [{"number": tickets[0]["pickup"]["number"], "since": tickets[0]["completed_at"]}]
    assert board["cooking"] == [tickets[1]["pickup"]["number"]]
    assert board["waiting"] == 1
    assert set(board) == {"as_of", "is_open", "reopens_at", "ready", "cooking", "waiting"}
    assert not {field for entry in board["ready"] for field in entry if field in SECRETS}


async def test_a_reader_that_has_the_board_already_gets_304_until_it_changes(
    open_kitchen: OpenKitchen,
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    for path in ("/v1/tickets/board", "/v1/board"):
        first = await kitchen.web.get(path)
        again = await kitchen.web.get(path, headers={"If-None-Match": f'W/{first.headers["etag"]}, "other"'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])

    await kitchen.gateway.place_some(1)

    async def has_changed() -> bool:
        return (
            await kitchen.web.get(path, headers={"If-None-Match": first.headers["etag"]})
        ).status_code == 200

    await until(has_changed)
