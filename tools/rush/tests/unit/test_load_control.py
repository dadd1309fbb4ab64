"""Orders begin as fast as answers allow, and not ahead of the faults."""

import asyncio

import pytest

from cafeteria.rush import load_control as figures
from cafeteria.rush.load_control import LoadControl


async def begin(load_control: LoadControl, count: int) -> None:
    for _ in range(count):
        assert await asyncio.wait_for(load_control.acquire(), 20)


async def test_no_order_begins_before_it_is_allowed() -> None:
    load_control = LoadControl(orders=10)
    waiting = asyncio.create_task(load_control.acquire())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.1)
    load_control.allow(1)
    assert await asyncio.wait_for(waiting, 20)


async def test_orders_in_flight_are_bounded_until_one_is_over() -> None:
    load_control = LoadControl(orders=1_000)
    load_control.allow(1_000)
    bound = int(figures.FEWEST_IN_FLIGHT * 2)
    await begin(load_control, bound)
    waiting = asyncio.create_task(load_control.acquire())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.1)
    load_control.over(1.0)
    assert await asyncio.wait_for(waiting, 20)


async def test_slow_answers_lower_the_limit_and_quick_ones_raise_it() -> None:
    load_control = LoadControl(orders=1_000)
    before = load_control.most_in_flight
    for _ in range(5):
        load_control.over(figures.SLOW_S * 2)
    assert load_control.most_in_flight < before
    small = load_control.most_in_flight
    for _ in range(50):
        load_control.over(figures.QUICK_S / 2)
    assert load_control.most_in_flight > small


async def test_no_order_begins_after_the_last_one() -> None:
    load_control = LoadControl(orders=2)
    load_control.allow(5)
    await begin(load_control, 2)
    assert not await load_control.acquire()
    await asyncio.wait_for(load_control.until_begun(9), 20)
