"""Orders begin as fast as answers allow, and not ahead of the faults."""

import asyncio

import pytest

from cafeteria.rush import load_control as figures
from cafeteria.rush.load_control import Pace


async def begin(pace: Pace, count: int) -> None:
    for _ in range(count):
        assert await asyncio.wait_for(pace.turn(), 20)


async def test_no_order_begins_before_it_is_allowed() -> None:
    pace = Pace(orders=10)
    waiting = asyncio.create_task(pace.turn())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.1)
    pace.allow(1)
    assert await asyncio.wait_for(waiting, 20)


async def test_orders_in_flight_are_bounded_until_one_is_over() -> None:
    pace = Pace(orders=1_000)
    pace.allow(1_000)
    bound = int(figures.FEWEST_IN_FLIGHT * 2)
    await begin(pace, bound)
    waiting = asyncio.create_task(pace.turn())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.1)
    pace.over(1.0)
    assert await asyncio.wait_for(waiting, 20)


async def test_slow_answers_lower_the_limit_and_quick_ones_raise_it() -> None:
    pace = Pace(orders=1_000)
    before = pace.most_in_flight
    for _ in range(5):
        pace.over(figures.SLOW_S * 2)
    assert pace.most_in_flight < before
    small = pace.most_in_flight
    for _ in range(50):
        pace.over(figures.QUICK_S / 2)
    assert pace.most_in_flight > small


async def test_no_order_begins_after_the_last_one() -> None:
    pace = Pace(orders=2)
    pace.allow(5)
    await begin(pace, 2)
    assert not await pace.turn()
    await asyncio.wait_for(pace.until_begun(9), 20)
