"""The periodic jobs of stock: publish the availability of all items and of changed items, and purge operations."""

import asyncio

from cafeteria.chassis.jobs import Loop
from cafeteria.stock.service import StockService

EVERYTHING_EVERY_S = 1.0  # gateways treat an entry older than 3 s as unknown: two messages may be lost
COALESCE_S = 0.05  # a change is published within 100 ms of its COMMIT, together with later ones
PURGE_EVERY_S = 3600.0
CHANGES_EVERY_S = 5.0  # a change wakes the job earlier; this is the pace without changes


def tell_everything(service: StockService) -> Loop:
    return Loop("availability-everything", EVERYTHING_EVERY_S, service.tell_everything)


def tell_changes(service: StockService) -> Loop:
    """Publish changed items. The caller wakes this job after a change."""

    async def tick() -> None:
        if service.has_changes:
            await asyncio.sleep(COALESCE_S)
            await service.tell_changes()

    return Loop("availability-changes", CHANGES_EVERY_S, tick)


def purge(service: StockService) -> Loop:
    """Delete old operations. Safe on several replicas at once: each deletes rows that no other has locked."""
    return Loop("purge-operations", PURGE_EVERY_S, service.purge_operations)
