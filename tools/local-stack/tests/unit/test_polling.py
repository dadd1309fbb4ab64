"""A wait ends with the first true value, of a plain function or a coroutine, or says what it last saw."""

from collections.abc import Iterator

import pytest

from cafeteria.local_stack.polling import is_true_within, until


@pytest.fixture
def values() -> Iterator[int]:
    return iter((0, 0, 7, 8))


async def test_the_first_true_value_is_returned(values: Iterator[int]) -> None:
    assert await until(lambda: next(values), poll_s=0) == 7
    assert next(values) == 8


async def test_a_coroutine_is_awaited(values: Iterator[int]) -> None:
    async def condition() -> int:
        return next(values)

    assert await until(condition, poll_s=0) == 7


async def test_the_last_value_is_told_when_time_is_over() -> None:
    with pytest.raises(TimeoutError, match=r"within 0 s; the last value was \[\]"):
        await until(list, timeout_s=0)


async def test_a_condition_is_looked_at_once_even_if_there_is_no_time() -> None:
    assert await is_true_within(-1, lambda: True)
    assert not await is_true_within(-1, lambda: False)
