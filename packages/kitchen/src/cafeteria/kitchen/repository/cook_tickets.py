"""Read the work of a kitchen that cooks by itself. Nothing here locks or changes a row: the moves are guarded.

A unique index allows one ticket to a station. Nothing here reads old tickets, however many there are: that index
holds the tickets that cook now, and the queue is read from its beginning on, for below it are the index entries
of tickets that were queued once, which only a vacuum removes.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.kitchen import TicketStatus
from cafeteria.kitchen.domain import Ticket
from cafeteria.kitchen.repository.rows import TICKET, to_ticket


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """The tickets that one tick can finish and start.

    `taken` holds the stations of all tickets in the kitchen, due or not. `next_due_at` is the earliest due time of
    the tickets that are not in `due`.
    """

    due: tuple[Ticket, ...]
    startable: tuple[Ticket, ...]
    taken: frozenset[int]
    next_due_at: datetime | None


_WORKLOAD = Statement(f"""
WITH cooking AS MATERIALIZED (
    SELECT id, station, due_at FROM kitchen.kitchen_orders WHERE station BETWEEN 1 AND 32767
), due AS MATERIALIZED (
    SELECT id FROM cooking WHERE due_at <= CAST(:now AS timestamptz) ORDER BY id LIMIT CAST(:batch AS integer)
), work AS (
    SELECT {TICKET} FROM kitchen.kitchen_orders
    WHERE id = ANY(ARRAY(SELECT id FROM due))
    UNION ALL
    (SELECT {TICKET} FROM kitchen.kitchen_orders
     WHERE status = 'QUEUED' AND id >= CAST(:queue_from AS uuid)
     ORDER BY id LIMIT least(CAST(:batch AS integer), greatest(0, CAST(:stations AS integer)
         - (SELECT count(*) FROM cooking) + (SELECT count(*) FROM due))))
)
SELECT stations.taken, stations.next_due_at, work.* FROM (
    SELECT coalesce(array_agg(station), '{{}}') AS taken,
           min(due_at) FILTER (WHERE id NOT IN (SELECT id FROM due)) AS next_due_at
    FROM cooking
) AS stations LEFT JOIN work ON true
""")  # noqa: S608 - put together from constants


async def read_workload(
    connection: AsyncConnection, *, now: datetime, stations: int, queue_from: UUID, batch: int
) -> Workload:
    """Return the due tickets, and as many queued ones as there are free stations once the due ones are finished.

    Up to `batch` tickets of each kind; queued ones from `queue_from` on.
    """
    parameters = {"now": now, "stations": stations, "queue_from": queue_from, "batch": batch}
    rows = await _WORKLOAD.rows(connection, parameters)
    tickets = [to_ticket(row) for row in rows if row.id is not None]
    return Workload(
        due=tuple(ticket for ticket in tickets if ticket.status is TicketStatus.IN_KITCHEN),
        startable=tuple(ticket for ticket in tickets if ticket.status is TicketStatus.QUEUED),
        taken=frozenset(rows[0].taken),
        next_due_at=rows[0].next_due_at,
    )


_STARTED_BY_HAND = Statement(f"""
SELECT {TICKET} FROM kitchen.kitchen_orders
WHERE status = 'IN_KITCHEN' AND station IS NULL ORDER BY id LIMIT CAST(:batch AS integer)
""")  # noqa: S608 - put together from constants


async def read_started_by_hand(connection: AsyncConnection, *, batch: int) -> Sequence[Ticket]:
    """Return tickets that people started before the kitchen cooked by itself: they have no station and no due time."""
    rows = await _STARTED_BY_HAND.rows(connection, {"batch": batch})
    return [to_ticket(row) for row in rows]
