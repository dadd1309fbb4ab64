"""A busy lane's batches are spaced, an idle lane waits for nothing."""

import asyncio

from cafeteria.chassis.pace import Pace

INTERVAL_S = 0.05


async def seconds_until_turn(pace: Pace) -> float:
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    await pace.turn()
    return loop.time() - began_at


async def test_the_first_turn_is_at_once() -> None:
    assert await seconds_until_turn(Pace(INTERVAL_S)) < INTERVAL_S / 2


async def test_after_a_batch_of_one_the_next_turn_is_at_once() -> None:
    pace = Pace(INTERVAL_S)
    await pace.turn()
    pace.took(1)
    assert await seconds_until_turn(pace) < INTERVAL_S / 2


async def test_after_a_batch_of_several_the_next_turn_comes_an_interval_later() -> None:
    pace = Pace(INTERVAL_S)
    await pace.turn()
    pace.took(2)
    assert await seconds_until_turn(pace) >= INTERVAL_S * 0.9


async def test_a_batch_that_took_longer_than_the_interval_is_followed_at_once() -> None:
    pace = Pace(INTERVAL_S)
    await pace.turn()
    pace.took(100)
    await asyncio.sleep(INTERVAL_S * 1.1)
    assert await seconds_until_turn(pace) < INTERVAL_S / 2
