"""Polls conditions that send no notification: the state of processes, servers and databases."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

POLL_S = 0.02
TIMEOUT_S = 30.0
"""A successful wait is much shorter; a caller that measures time passes its own limit."""


async def until(condition: Callable[[], Any], *, timeout_s: float = TIMEOUT_S, poll_s: float = POLL_S) -> Any:
    """Return the first true value of `condition`, sync or async. Raises `TimeoutError` with the last value."""
    value, is_in_time = await _poll(condition, timeout_s=timeout_s, poll_s=poll_s)
    if not is_in_time:
        raise TimeoutError(f"not true within {timeout_s} s; the last value was {value!r}")
    return value


async def is_true_within(timeout_s: float, condition: Callable[[], Any], *, poll_s: float = POLL_S) -> bool:
    """Whether `condition`, sync or async, became true in time. It is looked at once even if there is no time."""
    return (await _poll(condition, timeout_s=timeout_s, poll_s=poll_s))[1]


async def _poll(condition: Callable[[], Any], *, timeout_s: float, poll_s: float) -> tuple[Any, bool]:
    """The last value of the condition, and whether it was true."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value or time.monotonic() > deadline:
            return value, bool(value)
        await asyncio.sleep(poll_s)
