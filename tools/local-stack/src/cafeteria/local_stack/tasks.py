"""Runs tasks beside other work, and cancels them reliably."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

REPEAT_S = 0.5  # longer than any of these tasks needs to clean up


async def ended(task: "asyncio.Task[Any]") -> None:
    """Cancel the task and return once it has ended; ignore its exception.

    One cancellation may not suffice: in Python 3.11 `asyncio.wait_for`, which nats-py uses, loses a cancellation that
    arrives together with the result.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=REPEAT_S)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Run `work` beside the block and cancel it at the block's end; an exception of its own is raised there."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await ended(task)
    if not task.cancelled():
        task.result()
