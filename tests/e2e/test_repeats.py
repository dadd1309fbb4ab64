"""A repeated key makes no second order, whether a student or a proxy repeats it, early, late or in other bytes."""

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import msgspec

from cafeteria.contracts.gateway import PlaceOrder
from cafeteria.faultkit.history import Exchange, Intent
from cafeteria.faultkit.student import Student

if TYPE_CHECKING:
    from conftest import RunningStack


async def send(
    stack: "RunningStack", student: Student, lines: Any, *, key: str, gateway: int = 0, body: bytes = b""
) -> Exchange:
    """Send an order to one of the gateways, with `body` in these bytes. It is recorded for the check of the promise."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key, **student.authorization}
    url, sent_at_s = f"{stack.urls.gateways[gateway]}/v1/orders", student.now_s()
    data = body or msgspec.json.encode(PlaceOrder(lines=lines))
    async with stack.http.post(url, data=data, headers=headers) as answer:
        exchange = Exchange(
            intent=Intent.ORDER,
            student_id=student.student_id,
            sent_at_s=sent_at_s,
            ended_at_s=student.now_s(),
            status=answer.status,
            body=await answer.read(),
            key=key,
            lines=lines,
            replayed="Idempotent-Replayed" in answer.headers,
        )
    stack.history.exchanges.append(exchange)
    return exchange


async def test_the_same_lines_in_other_bytes_are_the_same_order(stack: "RunningStack", lines_of) -> None:
    student, dish = await stack.student(), await stack.dish(10)
    first = await send(stack, student, lines_of(dish), key="w")
    assert first.status == 201
    for gateway, body in enumerate(
        (
            f'{{"lines": [{{"quantity": 1, "item_id": "{dish}"}}]}}',
            f'\n{{ "lines" :\t[ {{"item_id":"{str(dish).upper()}" , "quantity":1 }} ] }} ',
        )
    ):
        again = await send(stack, student, lines_of(dish), key="w", gateway=gateway, body=body.encode())
        assert (again.status, again.body, again.replayed) == (201, first.body, True)


async def test_a_repeat_after_202_gets_the_same_order_before_and_after_the_decision(
    stack: "RunningStack", lines_of, order_in
) -> None:
    student, dish = await stack.student(), await stack.dish(10)
    lines = lines_of(dish)
    stack.signal("stock", signal.SIGSTOP)
    try:
        received = await student.order_once(lines, key="k")
        again = await student.order_once(lines, key="k")
    finally:
        stack.signal("stock", signal.SIGCONT)
    assert (received.status, again.status) == (202, 202)
    assert order_in(received).id == order_in(again).id
    await stack.until_status(order_in(received).id, "READY")
    decided = await student.order(lines, key="k")
    assert (decided.status, decided.replayed) == (201, True)
    assert order_in(decided).id == order_in(received).id
    assert (await student.order(lines, key="k")).body == decided.body


async def test_a_proxy_that_sends_the_order_again_to_the_other_gateway_orders_once(
    stack: "RunningStack", lines_of, order_in, wait_until
) -> None:
    """The first gateway has stored the order and freezes; the proxy stops waiting and repeats the request."""
    student, dish = await stack.student(), await stack.dish(10)
    lines = lines_of(dish)
    stack.signal("stock", signal.SIGSTOP)
    try:
        first = asyncio.create_task(send(stack, student, lines, key="k", gateway=1))
        async with stack.database() as database:
            orders = "SELECT count(*) FROM gateway.orders WHERE student_id = $1"
            await wait_until(lambda: database.fetchval(orders, student.student_id))
        stack.processes.kill("gateway-2", signal.SIGSTOP)
        second = asyncio.create_task(send(stack, student, lines, key="k"))
    finally:
        stack.signal("stock", signal.SIGCONT)
    try:
        repeated = await second
    finally:
        stack.processes.kill("gateway-2", signal.SIGCONT)
    late = await first
    assert {repeated.status, late.status} <= {201, 202}
    final = await student.order(lines, key="k")
    assert final.status == 201
    assert {order_in(each).id for each in (repeated, late)} == {order_in(final).id}
    assert (await stack.snapshot()).taken[order_in(final).id] == {dish: 1}


async def test_after_its_end_an_order_is_replayed_as_it_was_answered(
    stack: "RunningStack", lines_of, order_in
) -> None:
    student, dish = await stack.student(), await stack.dish(1)
    stack.signal("kitchen", signal.SIGSTOP)
    try:
        bought = await student.order(lines_of(dish), key="cancelled")
        refused = await student.order(lines_of(dish), key="refused")
        cancelling = asyncio.create_task(student.cancel(order_in(bought).id))
    finally:
        stack.signal("kitchen", signal.SIGCONT)
    await cancelling
    assert (bought.status, refused.status) == (201, 409)
    for gateway in range(len(stack.urls.gateways)):
        again = await send(stack, student, lines_of(dish), key="cancelled", gateway=gateway)
        assert (again.status, again.body, again.replayed) == (201, bought.body, True)
