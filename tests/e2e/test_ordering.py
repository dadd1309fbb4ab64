"""An order goes from login to READY, and one idempotency key makes one order however it is used."""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from cafeteria.contracts.gateway import Order, PlaceOrder
from cafeteria.contracts.values import OrderStatus

if TYPE_CHECKING:
    from conftest import RunningStack


async def test_an_order_goes_to_ready_and_its_student_sees_the_four_statuses(
    stack: "RunningStack", lines_of, order_in
) -> None:
    student, dish = await stack.student(), await stack.dish(10, price="4.25")
    stack.follow(student)
    exchange = await student.order(lines_of(dish, 2), key="first")
    order = order_in(exchange)
    assert exchange.status == 201
    assert order.status is OrderStatus.STOCK_VERIFIED
    assert str(order.total) == "8.50"
    await stack.until_status(order.id, "READY")
    await stack.until_seen(student, order.id, versions=[1, 2, 3, 4])
    await stack.until_all_menus_show(dish, 8)


async def test_fifty_parallel_requests_with_one_key_are_one_order(
    stack: "RunningStack", lines_of, order_in
) -> None:
    """One of the requests made the order; it was answered 202 if stock took over a second."""
    student, dish, began_at = await stack.student(), await stack.dish(100), len(stack.history.exchanges)
    answers = await asyncio.gather(*(student.order(lines_of(dish), key="same") for _ in range(50)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    made = [each.status for each in stack.history.exchanges[began_at:] if not each.replayed]
    assert made.count(201) == 1 or (made.count(201) == 0 and 202 in made)
    snapshot = await stack.snapshot()
    assert snapshot.taken[order_in(answers[0]).id] == {dish: 1}
    assert sum(order.student_id == student.student_id for order in snapshot.orders.values()) == 1


async def test_the_same_key_with_another_body_is_refused(stack: "RunningStack", lines_of) -> None:
    student, dish = await stack.student(), await stack.dish(100)
    assert (await student.order(lines_of(dish, 1), key="k")).status == 201
    refused = await student.order(lines_of(dish, 2), key="k")
    assert refused.status == 422
    assert b"/problems/idempotency-key-reused" in refused.body


async def test_the_same_key_of_another_student_is_an_order_of_its_own(
    stack: "RunningStack", lines_of, order_in
) -> None:
    first, second, dish = await stack.student(), await stack.student(), await stack.dish(100)
    orders = [order_in(await student.order(lines_of(dish), key="k")) for student in (first, second)]
    assert orders[0].id != orders[1].id


async def test_an_order_without_a_key_is_refused(stack: "RunningStack", lines_of) -> None:
    student, dish = await stack.student(), await stack.dish(100)
    async with stack.http.post(
        f"{stack.urls.gateways[0]}/v1/orders",
        data=msgspec.json.encode(PlaceOrder(lines=lines_of(dish))),
        headers={"Content-Type": "application/json", **student.authorization},
    ) as response:
        assert response.status == 400
        assert "/problems/idempotency-key-missing" in await response.text()


async def test_the_last_portion_is_replayed_when_the_menu_shows_it_sold_out(
    stack: "RunningStack", lines_of, order_in
) -> None:
    student, dish = await stack.student(), await stack.dish(1)
    bought = await student.order(lines_of(dish), key="last")
    await stack.until_all_menus_show(dish, 0)
    for _ in stack.urls.gateways:
        again = await student.order(lines_of(dish), key="last")
        assert (again.status, again.body, again.replayed) == (201, bought.body, True)
    too_late = await student.order(lines_of(dish), key="another")
    assert too_late.status == 409
    assert str(dish).encode() in too_late.body


async def test_another_students_order_does_not_exist_for_me(
    stack: "RunningStack", lines_of, order_in
) -> None:
    owner, other, dish = await stack.student(), await stack.student(), await stack.dish(10)
    order = order_in(await owner.order(lines_of(dish), key="mine"))
    assert (await owner.read(order.id)).status == 200
    assert (await other.read(order.id)).status == 404
    assert (await other.cancel(order.id)).status == 404


async def test_the_rush_for_one_dish_sells_each_portion_once(stack: "RunningStack", lines_of) -> None:
    """300 portions, 400 buyers at once, over two gateways and two stocks."""
    dish = await stack.dish(300)
    # one after another: identity yields to all other processes, so forty logins at once wait long
    students = [await stack.student() for _ in range(40)]
    answers = await asyncio.gather(
        *(student.order(lines_of(dish), key=f"rush-{turn}") for turn in range(10) for student in students)
    )
    statuses = [answer.status for answer in answers]
    assert (statuses.count(201), statuses.count(409)) == (300, 100)
    assert all(b"/problems/out-of-stock" in answer.body for answer in answers if answer.status == 409)
    [item] = [item for item in (await stack.snapshot()).items if item.item_id == dish]
    assert (item.quantity, item.restocked, item.deducted) == (0, 300, 300)


async def test_a_stream_that_reconnects_all_the_time_shows_every_status_once(
    stack: "RunningStack", lines_of, order_in
) -> None:
    student, dish = await stack.student(), await stack.dish(50)
    stack.follow(student, leave_after_s=(0.05, 0.6))  # opening it takes a part of that
    orders: list[Order] = []
    async with asyncio.timeout(120):
        while stack.connections_of(student) < 10:
            orders.append(order_in(await student.order(lines_of(dish), key=f"r{len(orders)}")))
            await stack.until_status(orders[-1].id, "READY")
    await stack.until_seen(student, *(order.id for order in orders), versions=[1, 2, 3, 4])
