"""What time starts: availability of everything each second, and of what changed soon after its COMMIT."""

import asyncio

from cafeteria.chassis.loops import Loop
from cafeteria.stock.service import StockService

EVERYTHING_EVERY_S = 1.0  # gateways take an entry older than 3 s for unknown: two may be lost
COALESCE_S = 0.05  # changes are told within 100 ms of their COMMIT; what comes in between goes along
PURGE_EVERY_S = 3600.0
CHANGES_EVERY_S = 5.0  # changes wake their loop; this is for none


def tell_everything(service: StockService) -> Loop:
    return Loop("availability-everything", EVERYTHING_EVERY_S, service.tell_everything)


def tell_changes(service: StockService) -> Loop:
    """To be woken when something has changed."""

    async def tick() -> None:
        if service.has_changes:
            await asyncio.sleep(COALESCE_S)
            await service.tell_changes()

    return Loop("availability-changes", CHANGES_EVERY_S, tick)


def purge(service: StockService) -> Loop:
    """Safe on several replicas at once: each deletes what the others have not locked."""
    return Loop("purge-operations", PURGE_EVERY_S, service.purge_operations)
