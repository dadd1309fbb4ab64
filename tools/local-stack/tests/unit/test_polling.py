"""A wait returns the first true value of a function or coroutine, or raises an error with the last value."""

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


async def test_the_timeout_error_contains_the_last_value() -> None:
    with pytest.raises(TimeoutError, match=r"within 0 s; the last value was \[\]"):
        await until(list, timeout_s=0)


async def test_a_condition_is_checked_once_even_without_time() -> None:
    assert await is_true_within(-1, lambda: True)
    assert not await is_true_within(-1, lambda: False)
