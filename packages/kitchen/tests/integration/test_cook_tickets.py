"""Work becomes a ticket once, is cooked by itself, and the world hears of each step with the whole path before it."""

import asyncio
import sys
from typing import Any

from cafeteria.contracts import subjects
from cafeteria.testkit.plugin import until

COOKED = ("IN_KITCHEN", "READY")

_LENGTHS_OUTSIDE = """
SELECT count(*) FROM kitchen.kitchen_orders
WHERE due_at - started_at NOT BETWEEN '0.2 s' AND '0.4 s' OR completed_at < due_at
"""
_AT_A_STATION_AND_DUE = "UPDATE kitchen.kitchen_orders SET station = 1, due_at = now() WHERE order_id = $1"
_MOST_AT_ONCE = """
SELECT max(cooking) FROM (
    SELECT sum(step) OVER (ORDER BY at, step) AS cooking FROM (
        SELECT started_at AS at, 1 AS step FROM kitchen.kitchen_orders
        UNION ALL SELECT completed_at, -1 FROM kitchen.kitchen_orders) AS steps) AS counted
"""


async def test_an_order_is_cooked_and_each_step_is_told_with_the_path_before_it(open_kitchen: Any) -> None:
    kitchen = await open_kitchen()
    [order] = await kitchen.gateway.place_some(1)

    news = await kitchen.hear(order, count=2)

    assert [(each.status, each.version) for each in news] == [("IN_KITCHEN", 3), ("READY", 4)]
    assert [step.status for step in news[1].earlier] == ["PENDING", "STOCK_VERIFIED", "IN_KITCHEN"]
    assert news[1].earlier[:2] == order.earlier
    assert await kitchen.books.history_of(order) == ["IN_KITCHEN", "READY"]


async def test_a_queued_ticket_is_internal_and_keeps_what_came_with_the_work(open_kitchen: Any) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.all_stand("QUEUED", 1)

    ticket = await kitchen.books.ticket_of(order)

    assert (ticket["version"], ticket["student_id"]) == (2, order.student_id)
    assert await kitchen.books.history_of(order) == []
    assert await kitchen.stream.said() == []


async def test_work_that_arrives_again_and_again_on_two_replicas_is_cooked_once(
    open_kitchen: Any, servers: Any
) -> None:
    kitchen = await open_kitchen(replicas=2)
    orders = [kitchen.gateway.an_order() for _ in range(30)]

    await asyncio.gather(*(kitchen.gateway.place(*orders) for _ in range(4)))

    await kitchen.all_stand("READY", 30)
    await until(lambda: kitchen.gateway.has_been_heard(servers))
    assert await kitchen.books.value("SELECT count(*) FROM kitchen.kitchen_orders") == 30
    assert await kitchen.books.histories() == {COOKED}


async def test_two_replicas_together_never_cook_more_than_there_are_stations(open_kitchen: Any) -> None:
    kitchen = await open_kitchen(replicas=2, stations=3, prep_min_s=0.005, prep_max_s=0.02)

    await kitchen.gateway.place_some(90)

    await kitchen.all_stand("READY", 90)
    assert await kitchen.books.value(_MOST_AT_ONCE) == 3
    assert await kitchen.books.histories() == {COOKED}


async def test_an_order_takes_as_long_as_it_is_told_to(open_kitchen: Any) -> None:
    kitchen = await open_kitchen(prep_min_s=0.2, prep_max_s=0.4)

    await kitchen.gateway.place_some(20)

    await kitchen.all_stand("READY", 20)
    assert await kitchen.books.value(_LENGTHS_OUTSIDE) == 0


async def test_a_kitchen_killed_while_cooking_leaves_nothing_behind(
    open_kitchen: Any, gateway: Any, books: Any, servers: Any
) -> None:
    times = {"KITCHEN_PREP_MIN_S": "0.5", "KITCHEN_PREP_MAX_S": "1", "KITCHEN_STATIONS": "10"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cafeteria.kitchen"),
        env=servers.environment(subjects.KITCHEN) | times,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await gateway.place_some(40)
        await until(lambda: _is_half_done(books), timeout_s=20)
    finally:
        process.kill()
        await process.wait()
    assert await books.count("IN_KITCHEN") > 0

    kitchen = await open_kitchen(stations=10)

    await kitchen.all_stand("READY", 40)
    assert await books.histories() == {COOKED}


async def _is_half_done(books: Any) -> bool:
    return await books.count("READY") > 0 and await books.count("IN_KITCHEN") > 0


async def test_a_ticket_that_somebody_holds_does_not_stop_the_kitchen(
    open_kitchen: Any, servers: Any
) -> None:
    by_hand = await open_kitchen(KITCHEN_MODE="manual")
    [stuck] = await by_hand.gateway.place_some(1)
    await by_hand.all_stand("QUEUED", 1)
    await by_hand.press_until(stuck, "IN_KITCHEN")
    await by_hand.books.value(_AT_A_STATION_AND_DUE, stuck.order_id)
    async with servers.database_as_admin() as rogue, rogue.transaction():
        held = "SELECT 1 FROM kitchen.kitchen_orders WHERE order_id = $1 FOR UPDATE"
        await rogue.execute(held, stuck.order_id)
        kitchen = await open_kitchen()

        await kitchen.gateway.place_some(20)

        await kitchen.all_stand("READY", 20)
        assert await kitchen.books.status_of(stuck) == "IN_KITCHEN"

    await kitchen.all_stand("READY", 21)


async def test_what_people_had_started_is_finished_once_the_kitchen_cooks_by_itself(
    open_kitchen: Any,
) -> None:
    by_hand = await open_kitchen(KITCHEN_MODE="manual")
    [order] = await by_hand.gateway.place_some(1)
    await by_hand.all_stand("QUEUED", 1)
    ticket = await by_hand.books.ticket_of(order)
    assert (await by_hand.web.post(f"/v1/tickets/{ticket['id']}/start")).status_code == 200

    by_itself = await open_kitchen()

    await by_itself.all_stand("READY", 1)
    assert await by_itself.books.history_of(order) == ["IN_KITCHEN", "READY"]


async def test_a_message_that_cannot_be_read_is_kept_for_a_person_and_holds_nothing_up(
    open_kitchen: Any, servers: Any
) -> None:
    kitchen = await open_kitchen()

    await kitchen.gateway.place_undecodable()
    await kitchen.gateway.place_some(1)

    await kitchen.all_stand("READY", 1)
    await until(lambda: kitchen.gateway.has_been_heard(servers))
    assert (
        await kitchen.books.value("SELECT subject FROM kitchen.dead_letters") == subjects.WORK_PLACED.subject
    )


async def test_many_orders_are_cooked_in_groups_and_every_step_is_told_once(open_kitchen: Any) -> None:
    kitchen = await open_kitchen()

    orders = await kitchen.gateway.place_some(200)

    await kitchen.all_stand("READY", 200)
    await kitchen.all_is_said()
    said = await kitchen.stream.said()
    assert len(said) == 400
    assert {(news.order_id, news.version) for news in said} == {
        (order.order_id, version) for order in orders for version in (3, 4)
    }
