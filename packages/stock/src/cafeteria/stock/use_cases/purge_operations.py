"""Delete the stored answers of old operations, a batch at a time."""

from datetime import timedelta

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.stock.repository import purge_operations

KEYS_LIVE = timedelta(hours=24)  # as long as the gateway's
BATCH_ROWS = 1000  # short transactions


class PurgeOperations:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self) -> None:
        """Delete the operations that are older than KEYS_LIVE."""
        before, deleted = now() - KEYS_LIVE, BATCH_ROWS
        while deleted == BATCH_ROWS:
            async with self._database.statement() as connection:
                deleted = await purge_operations.delete_old(connection, before=before, limit=BATCH_ROWS)
