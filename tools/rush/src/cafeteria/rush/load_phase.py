"""Runs orders and faults at the same time until both are over, and measures how long all orders then take to end."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from cafeteria.faultkit.cluster import Arena
from cafeteria.faultkit.operators import Staff
from cafeteria.faultkit.quiescence import Rest, come_to_rest, until_mended
from cafeteria.rush.load_clients import Crowd
from cafeteria.rush.nemesis import Nemesis


async def storm(arena: Arena, crowd: Crowd, staff: Staff, nemesis: Nemesis) -> Rest:
    """Run the storm and wait for quiescence. The recovery time ignores orders placed after the last fault healed."""
    background = asyncio.create_task(staff.work())
    try:
        mended_after_s, _ = await together(_wait_for_recovery(arena, nemesis), crowd.order(nemesis.pace))
    finally:
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)
    return await come_to_rest(arena, mended_after_s=mended_after_s)


async def _wait_for_recovery(arena: Arena, nemesis: Nemesis) -> float | None:
    await nemesis.run()
    return await until_mended(arena)


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Like `gather`, but when one task fails the others are cancelled: they wait for each other's progress."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
    return [task.result() for task in tasks]
