"""Waits for conditions that announce nothing: the state of processes, servers and databases."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

POLL_S = 0.02
PATIENCE_S = 30.0
"""A wait that succeeds is much shorter; a caller whose subject is the time gives its own limit."""


async def until(
    condition: Callable[[], Any], *, timeout_s: float = PATIENCE_S, poll_s: float = POLL_S
) -> Any:
    """The first true value of `condition`, sync or async. Raises `TimeoutError` with the last value it had."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not true within {timeout_s} s; the last value was {value!r}")
        await asyncio.sleep(poll_s)
