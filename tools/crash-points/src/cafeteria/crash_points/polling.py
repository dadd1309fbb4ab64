"""Polling for conditions without an event: the state of processes and databases."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

POLL_S = 0.05


async def true_within(
    seconds: float, condition: Callable[[], Awaitable[bool]], *, every_s: float = POLL_S
) -> bool:
    """Poll the condition; return whether it became true in time."""
    deadline = monotonic() + seconds
    while not await condition():
        if monotonic() > deadline:
            return False
        await asyncio.sleep(every_s)
    return True
