"""Orders reach their end although parts of the system stop, freeze or die, and lose what they keep in memory."""

import asyncio
import signal
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import RunningStack

ANSWERED_WITHIN_S = 1.3 + 2.0
"""The gateway waits 1.3 s for a decision, and a busy machine adds to it; without that limit it would be ten seconds."""


async def test_with_stock_frozen_the_student_gets_202_and_the_order_verifies_by_itself(
    stack: "RunningStack", lines_of, order_in
) -> None:
    student, dish = await stack.student(), await stack.dish(10)
    stack.follow(student)
    stack.signal("stock", signal.SIGSTOP)
    try:
        sent_at = monotonic()
        received = await student.order_once(lines_of(dish), key="slow")
        took_s = monotonic() - sent_at
        assert received.status == 202
        assert took_s < ANSWERED_WITHIN_S
        order = order_in(received)
        assert (order.status, order.total) == ("PENDING", None)
    finally:
        stack.signal("stock", signal.SIGCONT)
    await stack.until_status(order.id, "READY")
    await stack.until_seen(student, order.id, versions=[1, 2, 3, 4])


async def test_a_gateway_killed_after_stock_decided_leaves_one_deduction_and_the_repeat_gets_the_order(
    stack: "RunningStack", lines_of, order_in, wait_until
) -> None:
    student, dish = await stack.student(gateway=0), await stack.dish(10)
    stack.signal("stock", signal.SIGSTOP)
    async with stack.database() as holder, stack.database() as watcher:
        sending = asyncio.create_task(student.order_once(lines_of(dish), key="k"))
        row = await wait_until(lambda: holder.fetchrow(_ORDER_OF, student.student_id))
        async with holder.transaction():
            await holder.execute("SELECT FROM gateway.orders WHERE id = $1 FOR UPDATE", row["id"])
            stack.signal("stock", signal.SIGCONT)
            await wait_until(lambda: watcher.fetchval(_DECIDED, row["id"]))
            stack.processes.kill("gateway", signal.SIGKILL)
            assert (await sending).status in {None, 202}
    await stack.processes.ready("gateway")
    again = await student.order(lines_of(dish), key="k")
    assert again.status == 201
    assert order_in(again).id == row["id"]
    assert (await stack.snapshot()).taken[row["id"]] == {dish: 1}


_ORDER_OF = "SELECT id FROM gateway.orders WHERE student_id = $1"
_DECIDED = "SELECT decision FROM stock.reservations WHERE order_id = $1"


async def test_a_kitchen_killed_while_cooking_gets_every_order_ready(
    stack: "RunningStack", lines_of, order_in
) -> None:
    student, dish = await stack.student(), await stack.dish(100)
    orders = [order_in(await student.order(lines_of(dish), key=f"c{number}")) for number in range(20)]
    for _ in range(2):
        await stack.until_status(orders[0].id, "IN_KITCHEN", "READY")
        stack.processes.kill("kitchen", signal.SIGKILL)
        await stack.processes.ready("kitchen")
    await stack.until_all_are([order.id for order in orders], "READY")
    histories = {ticket.order_id: ticket.history for ticket in (await stack.snapshot()).tickets}
    assert {histories[order.id] for order in orders} == {("IN_KITCHEN", "READY")}


async def test_nats_killed_and_its_store_wiped_loses_nothing_and_no_service_restarts(
    stack: "RunningStack", lines_of, order_in
) -> None:
    student, dish = await stack.student(), await stack.dish(100)
    stack.follow(student)
    pids = {
        name: stack.processes.pid(name)
        for name in ("identity", "gateway", "stock", "kitchen", "notification")
    }
    orders = []
    for disturb in (_kill_nats, _wipe_nats):
        orders += [
            order_in(await student.order(lines_of(dish), key=f"{disturb.__name__}{n}")) for n in range(5)
        ]
        await disturb(stack.processes)
        orders += [
            order_in(await student.order(lines_of(dish), key=f"after{disturb.__name__}{n}")) for n in range(3)
        ]
    await stack.until_all_are([order.id for order in orders], "READY")
    await stack.until_seen(student, *(order.id for order in orders), versions=[1, 2, 3, 4])
    assert {name: stack.processes.pid(name) for name in pids} == pids


async def _kill_nats(processes) -> None:
    processes.kill("nats", signal.SIGKILL)
    await processes.ready("nats")


async def _wipe_nats(processes) -> None:
    await processes.wipe_nats()


async def test_postgres_restarted_in_the_middle_loses_nothing(
    stack: "RunningStack", lines_of, order_in
) -> None:
    student, dish = await stack.student(), await stack.dish(100)
    sending = [asyncio.create_task(student.order(lines_of(dish), key=f"p{number}")) for number in range(30)]
    stack.processes.kill("postgres", signal.SIGKILL)
    await stack.processes.ready("postgres")
    answers = await asyncio.gather(*sending)
    assert {answer.status for answer in answers} == {201}


async def test_readiness_names_what_is_away_and_recovers(stack: "RunningStack", wait_until) -> None:
    for server, dependency in (("postgres", "postgres"), ("nats", "nats")):
        await stack.processes.stop(server)
        try:
            for name in ("gateway", "stock", "kitchen", "notification", "identity"):
                assert dependency in await _until_ready_is(stack, name, 503, wait_until)
                async with stack.http.get(f"{stack.processes.url(name)}/health/live") as response:
                    assert response.status == 200
        finally:
            await stack.processes.start(server)
        for name in ("gateway", "stock", "kitchen", "notification", "identity"):
            await _until_ready_is(stack, name, 200, wait_until)


async def _until_ready_is(stack: "RunningStack", name: str, status: int, wait_until) -> str:
    """The body of the answer of /health/ready once it has this status."""

    async def body() -> str | None:
        async with stack.http.get(f"{stack.processes.url(name)}/health/ready") as response:
            return await response.text() if response.status == status else None

    body_then: str = await wait_until(body)
    return body_then


async def test_cancelled_before_while_and_after_the_kitchen_has_it_all_agree(
    stack: "RunningStack", lines_of, order_in
) -> None:
    student, dish = await stack.student(), await stack.dish(100)
    stack.signal("kitchen", signal.SIGSTOP)
    try:
        early = order_in(await student.order(lines_of(dish, 3), key="early"))
        cancelling = asyncio.create_task(student.cancel(early.id))
    finally:
        stack.signal("kitchen", signal.SIGCONT)
    answer = await cancelling
    late = order_in(await student.order(lines_of(dish, 2), key="late"))
    await stack.until_status(late.id, "READY")
    refused = await student.cancel(late.id)
    assert refused.status == 409
    assert b"/problems/too-late-to-cancel" in refused.body
    if answer.status == 200:
        assert (await student.cancel(early.id)).status == 200
        await stack.until_status(early.id, "CANCELLED")
        await stack.until_all_menus_show(dish, 98)
    else:
        assert answer.status == 409
        await stack.until_all_menus_show(dish, 95)


async def test_a_cancel_survives_the_death_of_gateway_kitchen_and_stock_in_turn(
    stack: "RunningStack", lines_of, order_in
) -> None:
    student, dish = await stack.student(), await stack.dish(100)
    for service in ("gateway", "kitchen", "stock"):
        order = order_in(await student.order(lines_of(dish), key=f"cancel-{service}"))
        cancelling = asyncio.create_task(student.cancel(order.id))
        await asyncio.sleep(0)
        stack.processes.kill(service, signal.SIGKILL)
        answer = await cancelling
        await stack.processes.ready(service)
        assert answer.status in {200, 409}
        await stack.until_status(order.id, "CANCELLED" if answer.status == 200 else "READY")
