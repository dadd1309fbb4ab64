"""Orders and faults at once, until both are over; and how long it then takes until every order has ended."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from cafeteria.rush.arena import Arena
from cafeteria.rush.crowd import Crowd
from cafeteria.rush.nemesis import Nemesis
from cafeteria.rush.rest import Rest, come_to_rest, until_mended
from cafeteria.rush.staff import Staff


async def storm(arena: Arena, crowd: Crowd, staff: Staff, nemesis: Nemesis) -> Rest:
    """Returns at rest. What was ordered after the last heal does not count for how long mending took."""
    working = asyncio.create_task(staff.work())
    try:
        mended_after_s, _ = await together(_until_mended(arena, nemesis), crowd.order(nemesis.pace))
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    return await come_to_rest(arena, mended_after_s=mended_after_s)


async def _until_mended(arena: Arena, nemesis: Nemesis) -> float | None:
    await nemesis.run()
    return await until_mended(arena)


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """As `gather`, but when one fails the others end too: they wait for each other's progress."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
    return [task.result() for task in tasks]
