"""Concurrent callers share one call, and later ones its answer for a while."""

import asyncio

import pytest

from cafeteria.chassis.runtime.single_flight import SingleFlight


async def test_concurrent_callers_share_one_call() -> None:
    calls = 0

    async def fetch() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return calls

    single_flight = SingleFlight(fetch, valid_for_s=60)

    assert await asyncio.gather(*(single_flight.get() for _ in range(20))) == [1] * 20


async def test_an_outdated_answer_is_fetched_again() -> None:
    answers = iter((1, 2))

    async def fetch() -> int:
        return next(answers)

    single_flight = SingleFlight(fetch, valid_for_s=0)

    assert (await single_flight.get(), await single_flight.get()) == (1, 2)


async def test_a_failure_is_not_cached() -> None:
    answers = iter((OSError(), "fine"))

    async def fetch() -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    single_flight = SingleFlight(fetch, valid_for_s=60)

    with pytest.raises(OSError):  # noqa: PT011 - the error raised above
        await single_flight.get()
    assert await single_flight.get() == "fine"
