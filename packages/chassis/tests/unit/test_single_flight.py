"""An answer that is kept for a moment costs one question, however many ask."""

import asyncio

import pytest

from cafeteria.chassis.runtime.single_flight import SingleFlight


async def test_many_askers_at_once_cost_one_question() -> None:
    asked = []

    async def ask() -> int:
        asked.append(None)
        await asyncio.sleep(0)
        return len(asked)

    kept = SingleFlight(ask, valid_for_s=60)

    assert await asyncio.gather(*(kept.get() for _ in range(20))) == [1] * 20


async def test_an_answer_that_is_old_is_asked_for_again() -> None:
    answers = iter((1, 2))

    async def ask() -> int:
        return next(answers)

    kept = SingleFlight(ask, valid_for_s=0)

    assert (await kept.get(), await kept.get()) == (1, 2)


async def test_a_failure_is_not_kept() -> None:
    answers = iter((OSError(), "fine"))

    async def ask() -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    kept = SingleFlight(ask, valid_for_s=60)

    with pytest.raises(OSError):  # noqa: PT011 - the very one raised above
        await kept.get()
    assert await kept.get() == "fine"
