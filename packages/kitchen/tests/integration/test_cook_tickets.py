"""A cook command becomes one ticket; the kitchen cooks it by itself and publishes each step with the path before it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from cafeteria.contracts import subjects
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import Gateway, KitchenDatabase, OpenKitchen

COOKED = ("IN_KITCHEN", "READY")

_TIMES_OUT_OF_BOUNDS = """
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


async def test_an_order_is_cooked_and_each_step_is_published_with_the_path_before_it(
    open_kitchen: OpenKitchen,
) -> None:
    kitchen = await open_kitchen()
    [order] = await kitchen.gateway.place_some(1)

    events = await kitchen.wait_for_events(order, count=2)

    assert [(each.status, each.version) for each in events] == [("IN_KITCHEN", 3), ("READY", 4)]
    assert [step.status for step in events[1].earlier] == ["PENDING", "STOCK_VERIFIED", "IN_KITCHEN"]
    assert events[1].earlier[:2] == order.earlier
    assert await kitchen.database.history_of(order) == ["IN_KITCHEN", "READY"]


async def test_a_queued_ticket_publishes_no_event_and_keeps_the_version_and_student_of_its_command(
    open_kitchen: OpenKitchen,
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.wait_for_tickets("QUEUED", 1)

    ticket = await kitchen.database.ticket_of(order)

    assert (ticket["version"], ticket["student_id"]) == (2, order.student_id)
    assert await kitchen.database.history_of(order) == []
    assert await kitchen.stream.events() == []


async def test_a_cook_command_delivered_repeatedly_to_two_replicas_is_cooked_once(
    open_kitchen: OpenKitchen, servers: FixtureServers
) -> None:
    kitchen = await open_kitchen(replicas=2)
    orders = [kitchen.gateway.an_order() for _ in range(30)]

    await asyncio.gather(*(kitchen.gateway.place(*orders) for _ in range(4)))

    await kitchen.wait_for_tickets("READY", 30)
    await until(lambda: kitchen.gateway.work_is_acknowledged(servers))
    assert await kitchen.database.value("SELECT count(*) FROM kitchen.kitchen_orders") == 30
    assert await kitchen.database.histories() == {COOKED}


async def test_two_replicas_together_never_cook_more_than_there_are_stations(
    open_kitchen: OpenKitchen,
) -> None:
    kitchen = await open_kitchen(replicas=2, stations=3, prep_min_s=0.005, prep_max_s=0.02)

    await kitchen.gateway.place_some(90)

    await kitchen.wait_for_tickets("READY", 90)
    assert await kitchen.database.value(_MOST_AT_ONCE) == 3
    assert await kitchen.database.histories() == {COOKED}


async def test_cooking_takes_a_time_between_the_configured_bounds(open_kitchen: OpenKitchen) -> None:
    kitchen = await open_kitchen(prep_min_s=0.2, prep_max_s=0.4)

    await kitchen.gateway.place_some(20)

    await kitchen.wait_for_tickets("READY", 20)
    assert await kitchen.database.value(_TIMES_OUT_OF_BOUNDS) == 0


async def test_another_replica_finishes_the_tickets_of_a_killed_kitchen(
    open_kitchen: OpenKitchen, gateway: Gateway, database: KitchenDatabase, servers: FixtureServers
) -> None:
    times = {"KITCHEN_PREP_MIN_S": "0.5", "KITCHEN_PREP_MAX_S": "1", "KITCHEN_STATIONS": "10"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cafeteria.kitchen"),
        env=servers.environment(subjects.KITCHEN) | times,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await gateway.place_some(40)
        await until(lambda: _is_half_done(database), timeout_s=20)
    finally:
        process.kill()
        await process.wait()
    assert await database.count("IN_KITCHEN") > 0

    kitchen = await open_kitchen(stations=10)

    await kitchen.wait_for_tickets("READY", 40)
    assert await database.histories() == {COOKED}


async def _is_half_done(database: KitchenDatabase) -> bool:
    return await database.count("READY") > 0 and await database.count("IN_KITCHEN") > 0


async def test_a_ticket_locked_by_another_transaction_does_not_stop_the_kitchen(
    open_kitchen: OpenKitchen, servers: FixtureServers
) -> None:
    by_hand = await open_kitchen(KITCHEN_MODE="manual")
    [locked] = await by_hand.gateway.place_some(1)
    await by_hand.wait_for_tickets("QUEUED", 1)
    await by_hand.act_until(locked, "IN_KITCHEN")
    await by_hand.database.value(_AT_A_STATION_AND_DUE, locked.order_id)
    async with servers.database_as_admin() as locker, locker.transaction():
        lock = "SELECT 1 FROM kitchen.kitchen_orders WHERE order_id = $1 FOR UPDATE"
        await locker.execute(lock, locked.order_id)
        kitchen = await open_kitchen()

        await kitchen.gateway.place_some(20)

        await kitchen.wait_for_tickets("READY", 20)
        assert await kitchen.database.status_of(locked) == "IN_KITCHEN"

    await kitchen.wait_for_tickets("READY", 21)


async def test_a_kitchen_that_cooks_by_itself_finishes_tickets_that_people_had_started(
    open_kitchen: OpenKitchen,
) -> None:
    by_hand = await open_kitchen(KITCHEN_MODE="manual")
    [order] = await by_hand.gateway.place_some(1)
    await by_hand.wait_for_tickets("QUEUED", 1)
    ticket = await by_hand.database.ticket_of(order)
    assert (await by_hand.web.post(f"/v1/tickets/{ticket['id']}/start")).status_code == 200

    by_itself = await open_kitchen()

    await by_itself.wait_for_tickets("READY", 1)
    assert await by_itself.database.history_of(order) == ["IN_KITCHEN", "READY"]


async def test_a_message_that_cannot_be_decoded_becomes_a_dead_letter_and_blocks_no_other(
    open_kitchen: OpenKitchen, servers: FixtureServers
) -> None:
    kitchen = await open_kitchen()

    await kitchen.gateway.place_undecodable()
    await kitchen.gateway.place_some(1)

    await kitchen.wait_for_tickets("READY", 1)
    await until(lambda: kitchen.gateway.work_is_acknowledged(servers))
    assert (
        await kitchen.database.value("SELECT subject FROM kitchen.dead_letters")
        == subjects.WORK_PLACED.subject
    )


async def test_many_orders_are_cooked_in_batches_and_every_step_is_published_once(
    open_kitchen: OpenKitchen,
) -> None:
    kitchen = await open_kitchen()

    orders = await kitchen.gateway.place_some(200)

    await kitchen.wait_for_tickets("READY", 200)
    await kitchen.wait_for_empty_outbox()
    events = await kitchen.stream.events()
    assert len(events) == 400
    assert {(event.order_id, event.version) for event in events} == {
        (order.order_id, version) for order in orders for version in (3, 4)
    }
