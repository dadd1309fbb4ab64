"""Mark delivered: store when statuses were first written to a stream. A crash may lose the latest marks."""

from cafeteria.chassis.database.database import (
    Database,
)
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.runtime.clock import now
from cafeteria.notification.repository import mark_delivered
from cafeteria.notification.sse_hub import SseHub


class MarkDelivered:
    def __init__(self, database: Database, hub: SseHub) -> None:
        self._database = database
        self._hub = hub

    async def run(self) -> None:
        """Mark what was written to streams since the last run. Raises DatabaseUnavailable; the next run repeats it."""
        positions = self._hub.pop_delivered()
        if not positions:
            return
        try:
            async with self._database.statement() as connection:
                await mark_delivered.mark_delivered(connection, positions, now=now())
        except DatabaseUnavailable:
            self._hub.restore_delivered(positions)
            raise
