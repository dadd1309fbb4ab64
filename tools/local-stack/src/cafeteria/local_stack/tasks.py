"""Ending a task for certain."""

import asyncio
from typing import Any

ASK_AGAIN_S = 0.5  # longer than any of these tasks needs to leave in good order


async def ended(task: "asyncio.Task[Any]") -> None:
    """Cancel it and return once it is over. Whatever it raises is its own affair.

    Asked once it may go on: in Python 3.11 `asyncio.wait_for`, which nats-py uses, loses a cancellation that
    arrives together with the result.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=ASK_AGAIN_S)
