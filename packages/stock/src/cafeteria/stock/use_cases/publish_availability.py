"""Publish availability: all items regularly, and changed items soon after their commit."""

import asyncio

from cafeteria.chassis.database.database import Database
from cafeteria.stock.change_set import ChangeSet
from cafeteria.stock.clients import AvailabilityPublisher
from cafeteria.stock.repository import publish_availability

COALESCE_S = 0.05  # a change is published within 100 ms of its COMMIT, together with later ones


class PublishAvailability:
    """Publishes availability. `wake` is set while `changes` holds items to publish."""

    def __init__(
        self, database: Database, publisher: AvailabilityPublisher, changes: ChangeSet, *, wake: asyncio.Event
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._changes = changes
        self.wake = wake

    async def publish_all(self) -> None:
        """Publish every item, from Postgres: gateways renew all their entries with it. Raises NoAnswer."""
        async with self._database.statement() as connection:
            items = await publish_availability.read_all_items(connection)
        await self._publisher.publish(items, complete=True)

    async def publish_changes(self) -> None:
        """Wait COALESCE_S for further changes, and publish the items that changed since the last call. Raises NoAnswer."""
        if self._changes:
            await asyncio.sleep(COALESCE_S)
            await self._publisher.publish(self._changes.take(), complete=False)
