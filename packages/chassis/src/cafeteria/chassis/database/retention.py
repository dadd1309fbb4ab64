"""Deletes rows that ended long ago, through the only function of the schema that may delete them.

A service's role has no right to delete what its promises rest on. The function `purge_ended` of its schema belongs to
the schema's owner, and deletes nothing younger than LEAST_KEPT_DAYS, whatever it is asked.
"""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.statement import Statement
from cafeteria.chassis.observability import logs, metrics

BATCH_ROWS = 1_000  # short transactions

PURGED = metrics.counter("cafeteria_rows_purged_total", "Rows that were deleted because they ended long ago")

_PURGE = Statement("SELECT purge_ended(CAST(:days AS integer), CAST(:at_most AS integer)) AS rows")

_log = logs.get_logger()


class PurgeEnded:
    """Deletes what ended more than `days` days ago."""

    def __init__(self, database: Database, *, days: int) -> None:
        self._database = database
        self._days = days
        self._purged = PURGED.metric()

    async def run(self) -> None:
        """Delete all such rows, a batch to a commit."""
        total, deleted = 0, BATCH_ROWS
        while deleted >= BATCH_ROWS:
            async with self._database.statement() as connection:
                [row] = await _PURGE.rows(connection, {"days": self._days, "at_most": BATCH_ROWS})
            deleted = row.rows
            total += deleted
            self._purged.inc(deleted)
        if total:
            _log.info("ended_purged", rows=total, days=self._days)
