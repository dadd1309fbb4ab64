"""An outbox as its relay uses it: rows are read under a lease, which names one relay and ends by the database's clock.

The relay takes and renews the lease in the statements that read and delete rows, so a relay that stands still loses it.
The row is in the service's own schema: no other role can hold the relay up. Two relays at once publish duplicates, no more.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import DeclarativeBase

from cafeteria.chassis.database.statement import Statement
from cafeteria.chassis.messaging.outbox import Outbox, OutboxRow

LEASE = timedelta(seconds=14.5)
"""Half a second less than the 15 s that a row may wait for a dead relay: the others try twice a second."""
RENEWED_BY_READ = timedelta(seconds=11)
"""The remaining time at which a read renews the lease: an idle relay commits every four seconds."""
RENEWED_BY_DELETE = timedelta(seconds=12.5)
"""More than RENEWED_BY_READ: a delete commits anyway, so that under load a read never has to."""


_RENEWED = """
WITH renewed AS (
    UPDATE {lease} SET holder = CAST(:holder AS text), until = now() + CAST(:lease AS interval)
    WHERE until <= CASE WHEN holder = :holder THEN now() + CAST(:spare AS interval) ELSE now() END
    RETURNING 1
)"""
# The end of another relay's lease is in the last column, which costs nothing where it is NULL.
_READ = f"""{_RENEWED}
SELECT entry.*, lease.others_until FROM (
    SELECT CASE WHEN EXISTS (SELECT FROM renewed) OR holder = :holder AND until > now() + :spare THEN NULL ELSE until END
        AS others_until FROM {{lease}}
) AS lease LEFT JOIN LATERAL (
    SELECT id, subject, message_id, body FROM {{outbox}} WHERE lease.others_until IS NULL
    ORDER BY id LIMIT CAST(:limit AS integer)
) AS entry ON true ORDER BY entry.id
"""  # noqa: S608 - put together from constants
_DELETE = f"""{_RENEWED}
DELETE FROM {{outbox}} USING unnest(CAST(:firsts AS bigint[]), CAST(:lasts AS bigint[])) AS run (first, last)
WHERE id BETWEEN run.first AND run.last
"""  # noqa: S608 - put together from constants
_RELEASE = "UPDATE {lease} SET until = now() WHERE holder = CAST(:holder AS text) AND until > now()"
_RESTORE = "INSERT INTO {lease} (id, holder, until) VALUES (1, '', '-infinity') ON CONFLICT DO NOTHING"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The oldest rows; none if another relay holds the lease, or if nobody can because its row is missing.

    `lease_until` is the end of another relay's lease; a holder that works moves it every few seconds.
    """

    is_held: bool
    lease_until: datetime | None = None
    rows: Sequence[OutboxRow] = ()


def relay_lease_table(base: type[DeclarativeBase]) -> sa.Table:
    """Define the table of one schema's lease, which has one row."""
    return sa.Table(
        "relay_lease",
        base.metadata,
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )


class LeasedOutbox:
    """Reads and deletes the rows of one outbox for the relay `holder`."""

    def __init__(self, outbox: Outbox, *, holder: str) -> None:
        self._holder = holder
        names = {"lease": f"{outbox.schema}.relay_lease", "outbox": outbox.name}
        self._read, self._delete = (Statement(sql.format_map(names)) for sql in (_READ, _DELETE))
        self._release, self._restore = (Statement(sql.format_map(names)) for sql in (_RELEASE, _RESTORE))

    async def read(self, connection: AsyncConnection, *, limit: int) -> Reading:
        """Take or renew the lease if it is free or due, and return the oldest rows while it is held.

        The query never uses "id > last seen": ids commit out of order. A server that accepts no changes refuses it.
        """
        rows = await self._read.rows(
            connection, {"holder": self._holder, "lease": LEASE, "spare": RENEWED_BY_READ, "limit": limit}
        )
        if not rows:  # somebody has emptied the table: the next reading takes the lease
            await self._restore.rows(connection, {})
            return Reading(is_held=False)
        if rows[0].others_until is not None:
            return Reading(is_held=False, lease_until=rows[0].others_until)
        return Reading(is_held=True, rows=[OutboxRow(*row[:4]) for row in rows if row[0] is not None])

    async def delete(self, connection: AsyncConnection, ids: Sequence[int]) -> None:
        """Delete the rows by runs of consecutive ids: there are few runs, and no other row can be inside one."""
        runs = [
            [id_ for _, id_ in run]
            for _, run in groupby(enumerate(sorted(ids)), lambda each: each[1] - each[0])
        ]
        await self._delete.rows(
            connection,
            {
                "holder": self._holder,
                "lease": LEASE,
                "spare": RENEWED_BY_DELETE,
                "firsts": [run[0] for run in runs],
                "lasts": [run[-1] for run in runs],
            },
        )

    async def release(self, connection: AsyncConnection) -> None:
        """End the lease now if this relay holds it, so that another need not wait for its end."""
        await self._release.rows(connection, {"holder": self._holder})
