"""Purge: delete idempotency keys older than a day whose order has ended or waits to be collected."""

from datetime import timedelta

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability import logs
from cafeteria.chassis.runtime.clock import now
from cafeteria.gateway.repository import purge_keys

KEYS_KEPT_FOR = timedelta(hours=24)
BATCH_LIMIT = 1_000  # keys in one DELETE, which holds its locks for a few milliseconds

logger = logs.get_logger()


class PurgeKeys:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self) -> None:
        """Delete all such keys, a batch to a commit."""
        purged = BATCH_LIMIT
        total = 0
        while purged == BATCH_LIMIT:
            async with self._database.statement() as connection:
                purged = await purge_keys.purge_keys(
                    connection, made_before=now() - KEYS_KEPT_FOR, limit=BATCH_LIMIT
                )
            total += purged
        if total:
            logger.info("keys_purged", keys=total)
