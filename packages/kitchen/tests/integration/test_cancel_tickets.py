"""Cancelled before, while and after the kitchen has an order: the ticket says the same as the answer, for ever."""

import asyncio
from typing import Any

import pytest

from cafeteria.testkit.plugin import until

_BEGUN = "SELECT count(*) FROM kitchen.order_status_history WHERE status = 'IN_KITCHEN'"


async def test_an_order_cancelled_before_its_work_comes_is_never_cooked(
    open_kitchen: Any, servers: Any
) -> None:
    kitchen = await open_kitchen()
    order = kitchen.gateway.an_order()

    answer = await kitchen.gateway.cancel(order)
    await kitchen.gateway.place(order)
    [other] = await kitchen.gateway.place_some(1)

    assert (answer.cancelled, answer.status, answer.version) == (True, "CANCELLED", 3)
    await kitchen.hear(other, count=2)
    await until(lambda: kitchen.gateway.has_been_heard(servers))
    assert await kitchen.books.status_of(order) == "CANCELLED"
    assert await kitchen.books.history_of(order) == ["CANCELLED"]


async def test_a_queued_order_is_cancelled_and_the_world_hears_it_with_the_path_before(
    open_kitchen: Any,
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.all_stand("QUEUED", 1)

    answer = await kitchen.gateway.cancel(order)

    [news] = await kitchen.hear(order, count=1)
    assert (news.status, news.version, news.at) == ("CANCELLED", 3, answer.at)
    assert news.earlier == order.earlier
    assert news.student_id == order.student_id
    assert await kitchen.books.history_of(order) == ["CANCELLED"]


async def test_repeats_in_parallel_on_two_replicas_get_one_answer_and_leave_one_event(
    open_kitchen: Any,
) -> None:
    kitchen = await open_kitchen(replicas=2)
    order = kitchen.gateway.an_order()

    answers = await asyncio.gather(*(kitchen.gateway.cancel(order) for _ in range(30)))

    assert len(set(answers)) == 1
    assert len(await kitchen.hear(order, count=1)) == 1
    assert await kitchen.books.history_of(order) == ["CANCELLED"]


@pytest.mark.parametrize(("status", "version"), [("IN_KITCHEN", 3), ("READY", 4), ("COLLECTED", 5)])
async def test_once_cooking_has_begun_the_answer_says_where_the_ticket_stands(
    open_kitchen: Any, status: str, version: int
) -> None:
    kitchen = await open_kitchen(KITCHEN_MODE="manual")
    [order] = await kitchen.gateway.place_some(1)
    await kitchen.all_stand("QUEUED", 1)
    await kitchen.press_until(order, status)
    before = await kitchen.books.ticket_of(order)

    answer = await kitchen.gateway.cancel(order)

    assert (answer.cancelled, answer.status, answer.version) == (False, status, version)
    assert await kitchen.books.ticket_of(order) == before


async def test_between_cancelling_and_cooking_one_of_them_wins_each_order(open_kitchen: Any) -> None:
    kitchen = await open_kitchen(replicas=2, stations=7)
    orders = [kitchen.gateway.an_order() for _ in range(150)]
    soon, late = orders[:138], orders[138:]

    async def cancel_soon(order: Any, *, pauses: int) -> Any:
        for _ in range(pauses):
            await kitchen.gateway.ask_known(order.order_id)
        return await kitchen.gateway.cancel(order)

    _, *answers = await asyncio.gather(
        kitchen.gateway.place(*orders),
        *(cancel_soon(order, pauses=number % 12) for number, order in enumerate(soon)),
    )
    await until(lambda: kitchen.books.value(_BEGUN))  # those above may all have been faster than the work
    answers += await asyncio.gather(*map(kitchen.gateway.cancel, late))

    cancelled = [order for order, answer in zip(orders, answers, strict=True) if answer.cancelled]
    cooked = [order for order, answer in zip(orders, answers, strict=True) if not answer.cancelled]
    await kitchen.all_stand("READY", len(cooked))
    assert cancelled
    assert cooked
    for order in cancelled:
        assert await kitchen.books.history_of(order) == ["CANCELLED"]
    for order in cooked:
        assert await kitchen.books.history_of(order) == ["IN_KITCHEN", "READY"]
