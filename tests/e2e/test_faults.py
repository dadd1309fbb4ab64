"""What an order goes through when parts of the system stop, freeze or die, and lose their memory."""

import asyncio
import signal
from time import monotonic

import msgspec

from cafeteria.contracts.gateway import PlaceOrder

ANSWERED_WITHIN_S = 1.3 + 2.0
"""The gateway waits 1.3 s for a decision, and a busy machine adds to it; without that limit it would be ten seconds."""


async def test_with_stock_frozen_the_student_gets_202_and_the_order_verifies_by_itself(
    campus, lines_of, order_in
) -> None:
    student, dish = await campus.student(), await campus.dish(10)
    campus.follow(student)
    campus.signal("stock", signal.SIGSTOP)
    try:
        body = msgspec.json.encode(PlaceOrder(lines=lines_of(dish)))
        sent_at = monotonic()
        received = await student.order_once(body, lines=lines_of(dish), key="slow")
        took_s = monotonic() - sent_at
        assert received.status == 202
        assert took_s < ANSWERED_WITHIN_S
        order = order_in(received)
        assert (order.status, order.total) == ("PENDING", None)
    finally:
        campus.signal("stock", signal.SIGCONT)
    await campus.until_status(order.id, "READY")
    await campus.until_seen(student, order.id, versions=[1, 2, 3, 4])


async def test_a_gateway_killed_after_stock_decided_leaves_one_deduction_and_the_repeat_gets_the_order(
    campus, lines_of, order_in, wait_until
) -> None:
    student, dish = await campus.student(gateway=0), await campus.dish(10)
    body = msgspec.json.encode(PlaceOrder(lines=lines_of(dish)))
    campus.signal("stock", signal.SIGSTOP)
    async with campus.database() as holder, campus.database() as watcher:
        sending = asyncio.create_task(student.order_once(body, lines=lines_of(dish), key="k"))
        row = await wait_until(lambda: holder.fetchrow(_ORDER_OF, student.student_id))
        async with holder.transaction():
            await holder.execute("SELECT FROM gateway.orders WHERE id = $1 FOR UPDATE", row["id"])
            campus.signal("stock", signal.SIGCONT)
            await wait_until(lambda: watcher.fetchval(_DECIDED, row["id"]))
            campus.stack.kill("gateway", signal.SIGKILL)
            assert (await sending).status in {None, 202}
    await campus.stack.ready("gateway")
    again = await student.order(lines_of(dish), key="k")
    assert again.status == 201
    assert order_in(again).id == row["id"]
    assert (await campus.snapshot()).taken[row["id"]] == {dish: 1}


_ORDER_OF = "SELECT id FROM gateway.orders WHERE student_id = $1"
_DECIDED = "SELECT decision FROM stock.reservations WHERE order_id = $1"


async def test_a_kitchen_killed_while_cooking_gets_every_order_ready(campus, lines_of, order_in) -> None:
    student, dish = await campus.student(), await campus.dish(100)
    orders = [order_in(await student.order(lines_of(dish), key=f"c{number}")) for number in range(20)]
    for _ in range(2):
        await campus.until_status(orders[0].id, "IN_KITCHEN", "READY")
        campus.stack.kill("kitchen", signal.SIGKILL)
        await campus.stack.ready("kitchen")
    await campus.until_all_are([order.id for order in orders], "READY")
    histories = {ticket.order_id: ticket.history for ticket in (await campus.snapshot()).tickets}
    assert {histories[order.id] for order in orders} == {("IN_KITCHEN", "READY")}


async def test_nats_killed_and_its_store_wiped_loses_nothing_and_no_service_restarts(
    campus, lines_of, order_in
) -> None:
    student, dish = await campus.student(), await campus.dish(100)
    campus.follow(student)
    pids = {
        name: campus.stack.pid(name) for name in ("identity", "gateway", "stock", "kitchen", "notification")
    }
    orders = []
    for disturb in (_kill_nats, _wipe_nats):
        orders += [
            order_in(await student.order(lines_of(dish), key=f"{disturb.__name__}{n}")) for n in range(5)
        ]
        await disturb(campus.stack)
        orders += [
            order_in(await student.order(lines_of(dish), key=f"after{disturb.__name__}{n}")) for n in range(3)
        ]
    await campus.until_all_are([order.id for order in orders], "READY")
    await campus.until_seen(student, *(order.id for order in orders), versions=[1, 2, 3, 4])
    assert {name: campus.stack.pid(name) for name in pids} == pids


async def _kill_nats(stack) -> None:
    stack.kill("nats", signal.SIGKILL)
    await stack.ready("nats")


async def _wipe_nats(stack) -> None:
    await stack.wipe_nats()


async def test_postgres_restarted_in_the_middle_loses_nothing(campus, lines_of, order_in) -> None:
    student, dish = await campus.student(), await campus.dish(100)
    sending = [asyncio.create_task(student.order(lines_of(dish), key=f"p{number}")) for number in range(30)]
    campus.stack.kill("postgres", signal.SIGKILL)
    await campus.stack.ready("postgres")
    answers = await asyncio.gather(*sending)
    assert {answer.status for answer in answers} == {201}


async def test_readiness_names_what_is_away_and_recovers(campus, wait_until) -> None:
    for server, dependency in (("postgres", "postgres"), ("nats", "nats")):
        await campus.stack.stop(server)
        try:
            for name in ("gateway", "stock", "kitchen", "notification", "identity"):
                assert dependency in await _until_ready_is(campus, name, 503, wait_until)
                async with campus.http.get(f"{campus.stack.url(name)}/health/live") as response:
                    assert response.status == 200
        finally:
            await campus.stack.start(server)
        for name in ("gateway", "stock", "kitchen", "notification", "identity"):
            await _until_ready_is(campus, name, 200, wait_until)


async def _until_ready_is(campus, name: str, status: int, wait_until) -> str:
    """What /health/ready then says."""

    async def says() -> str | None:
        async with campus.http.get(f"{campus.stack.url(name)}/health/ready") as response:
            return await response.text() if response.status == status else None

    return await wait_until(says)


async def test_cancelled_before_while_and_after_the_kitchen_has_it_all_agree(
    campus, lines_of, order_in
) -> None:
    student, dish = await campus.student(), await campus.dish(100)
    campus.signal("kitchen", signal.SIGSTOP)
    try:
        early = order_in(await student.order(lines_of(dish, 3), key="early"))
        cancelling = asyncio.create_task(student.cancel(early.id))
    finally:
        campus.signal("kitchen", signal.SIGCONT)
    answer = await cancelling
    late = order_in(await student.order(lines_of(dish, 2), key="late"))
    await campus.until_status(late.id, "READY")
    refused = await student.cancel(late.id)
    assert refused.status == 409
    assert b"/problems/too-late-to-cancel" in refused.body
    if answer.status == 200:
        assert (await student.cancel(early.id)).status == 200
        await campus.until_status(early.id, "CANCELLED")
        await campus.until_all_menus_say(dish, 98)
    else:
        assert answer.status == 409
        await campus.until_all_menus_say(dish, 95)


async def test_a_cancel_survives_the_death_of_gateway_kitchen_and_stock_in_turn(
    campus, lines_of, order_in
) -> None:
    student, dish = await campus.student(), await campus.dish(100)
    for service in ("gateway", "kitchen", "stock"):
        order = order_in(await student.order(lines_of(dish), key=f"cancel-{service}"))
        cancelling = asyncio.create_task(student.cancel(order.id))
        await asyncio.sleep(0)
        campus.stack.kill(service, signal.SIGKILL)
        answer = await cancelling
        await campus.stack.ready(service)
        assert answer.status in {200, 409}
        await campus.until_status(order.id, "CANCELLED" if answer.status == 200 else "READY")
