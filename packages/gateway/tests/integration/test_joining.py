"""Who asks about an order whose question runs already joins it, and asks once alone when it ends without an answer."""

import asyncio
from typing import Any

import pytest

_ONLY_REPEATS_ASK = "UPDATE gateway.orders SET next_ask_at = now() + interval '1 hour'"


@pytest.mark.usefixtures("patient")
async def test_a_repeat_joins_the_running_question(counter: Any, stock: Any, wait_until: Any) -> None:
    item = stock.stock_up(10)
    first = await begin_order(counter, stock, item, wait_until)
    repeat = asyncio.create_task(counter.order({item: 1}, key="k"))
    await wait_until(lambda: has_joined(counter, askers=2))
    stock.speak()
    answers = await asyncio.gather(first, repeat)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert stock.heard == 1


@pytest.mark.usefixtures("patient")
async def test_a_repeat_whose_joined_question_gets_no_answer_asks_alone(
    counter: Any, stock: Any, placing: Any, wait_until: Any
) -> None:
    item = stock.stock_up(10)
    stock.fall_silent()
    stock.is_away_for = 1
    placings = [placing({item: 1}) for _ in range(3)]
    place_order = counter.app.state.gateway.place_order
    first = asyncio.gather(*map(place_order, placings))
    await wait_until(lambda: stock.heard)
    repeats = [asyncio.create_task(place_order(placings[0])) for _ in range(5)]
    await wait_until(lambda: has_joined(counter, askers=6))
    stock.speak()
    assert [placed.status for placed in await first] == [202, 202, 202]
    assert {placed.status for placed in await asyncio.gather(*repeats)} == {201}
    assert [len(asked) for asked in stock.asked] == [3, 1]


@pytest.mark.usefixtures("patient")
async def test_a_cancel_of_a_pending_order_joins_its_question(
    counter: Any, stock: Any, kitchen: Any, wait_until: Any
) -> None:
    item = stock.stock_up(10)
    first = await begin_order(counter, stock, item, wait_until)
    order_id = str(await counter.books.fetchval("SELECT id FROM gateway.orders"))
    cancelling = asyncio.create_task(counter.cancel(order_id))
    await wait_until(lambda: has_joined(counter, askers=2))
    stock.speak()
    assert (await first).status_code == 201
    assert (await cancelling).json()["status"] == "CANCELLED"
    assert [len(asked) for asked in stock.asked] == [1]


@pytest.mark.usefixtures("patient")
async def test_retry_pending_leaves_orders_whose_question_runs_to_it(
    counter: Any, stock: Any, wait_until: Any
) -> None:
    item = stock.stock_up(10)
    first = await begin_order(counter, stock, item, wait_until)
    await counter.books.execute("UPDATE gateway.orders SET next_ask_at = now()")
    await wait_until(lambda: has_been_claimed(counter))
    stock.speak()
    assert (await first).status_code == 201
    assert stock.heard == 1


async def test_every_answer_to_a_key_shows_the_date_that_the_database_has_given(
    counter: Any, stock: Any, wait_until: Any
) -> None:
    item = stock.stock_up(10)
    stock.loses_replies = True
    pending = [await counter.order({item: 1}, key="k")]
    await counter.books.execute(_ONLY_REPEATS_ASK)
    pending.append(await counter.order({item: 1}, key="k"))
    assert [answer.status_code for answer in pending] == [202, 202]
    assert pending[0].content == pending[1].content
    stock.loses_replies = False
    final = [await counter.order({item: 1}, key="k") for _ in range(2)]
    assert [answer.status_code for answer in final] == [201, 201]
    assert final[0].content == final[1].content
    assert final[0].json()["created_at"] == pending[0].json()["created_at"]


async def begin_order(counter: Any, stock: Any, item: Any, wait_until: Any) -> asyncio.Task[Any]:
    """Stock has the question and does not answer yet."""
    stock.fall_silent()
    ordering = asyncio.create_task(counter.order({item: 1}, key="k"))
    await wait_until(lambda: stock.heard)
    return ordering


def has_joined(counter: Any, *, askers: int) -> bool:
    questions = counter.app.state.gateway.place_order._decider._questions.values()
    return any(len(question._callbacks or ()) == askers for question in questions)


async def has_been_claimed(counter: Any) -> bool:
    return bool(await counter.books.fetchval("SELECT next_ask_at > now() FROM gateway.orders"))
