"""A rush on a small kitchen ends at its limit: who is refused may come again, and every order that exists is answered."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from cafeteria.contracts.problems import Problem
from cafeteria.faultkit.history import Exchange
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import RunningStack

LIMIT, ORDERS, STUDENTS = 50, 180, 3
RUSH_S = 3.0
SLACK = 10
"""On a busy machine an order may be longer on its way than the gateway counts it."""

SMALL_KITCHEN = {"KITCHEN_STATIONS": "8", "KITCHEN_PREP_MIN_S": "0.5", "KITCHEN_PREP_MAX_S": "0.5"}
BUSY = {"/problems/kitchen-full", "/problems/overloaded"}
_OPEN = "SELECT count(*) FROM kitchen.kitchen_orders WHERE status IN ('QUEUED', 'IN_KITCHEN')"


async def test_beyond_the_limit_orders_are_refused_and_repeats_get_their_orders(
    open_stack: "Callable[..., Awaitable[RunningStack]]", lines_of
) -> None:
    stack = await open_stack(kitchen=SMALL_KITCHEN, gateway={"GATEWAY_KITCHEN_LIMIT": str(LIMIT)})
    dish, students = await stack.dish(1_000), [await stack.student() for _ in range(STUDENTS)]
    chance, most = random.Random(1), 0  # noqa: S311 - repeatable on purpose

    async def order(number: int) -> Exchange:
        await asyncio.sleep(chance.uniform(0, RUSH_S))
        return await students[number % STUDENTS].order_once(lines_of(dish), key=f"rush-{number}")

    async def is_over(rush: asyncio.Future[list[Exchange]]) -> bool:
        nonlocal most
        most = max(most, await connection.fetchval(_OPEN))
        return rush.done()

    async with stack.database() as connection:
        rush = asyncio.gather(*map(order, range(ORDERS)))
        await until(lambda: is_over(rush))
        answers = await rush
        refused = [answer for answer in answers if answer.status == 503]
        problems = [msgspec.json.decode(answer.body, type=Problem) for answer in refused]
        assert {problem.type for problem in problems} <= BUSY
        full = [each for each in problems if each.type == "/problems/kitchen-full"]
        assert full
        assert all(1 <= (answer.retry_after_s or 0) <= 60 for answer in refused)
        assert all((problem.orders_in_progress or 0) >= LIMIT for problem in full)
        assert {answer.status for answer in answers} <= {201, 202, 503}
        assert 0 < most <= LIMIT + SLACK

        accepted = [(number, answer) for number, answer in enumerate(answers) if answer.status == 201]
        for number, answer in accepted:
            again = await students[number % STUDENTS].order_once(lines_of(dish), key=f"rush-{number}")
            assert (again.status, again.body, again.replayed) == (201, answer.body, True)

        async def is_cooked() -> bool:
            return await connection.fetchval(_OPEN) == 0

        await until(is_cooked, timeout_s=60)
    number = next(number for number, answer in enumerate(answers) if answer.status == 503)
    late = await students[number % STUDENTS].order(lines_of(dish), key=f"rush-{number}")
    assert (late.status, late.replayed) == (201, False)
