"""What a kitchen that cooks by itself can do next. A station holds one ticket: a unique index says so.

Nothing here looks through old tickets, however many there are. The index of stations holds what cooks now, and
the queue is read from where it begins: below that lie the index entries of tickets that were queued once, which
only a vacuum removes. Bitmap scans would visit those again and again, plain index scans learn to skip them.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zlib import crc32

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.contracts.kitchen import TicketStatus
from cafeteria.kitchen.domain import Ticket
from cafeteria.kitchen.repository.rows import to_ticket

STATIONS_LOCK = crc32(b"kitchen.stations")
FROZEN_COOK_S = 2  # a replica that stops in the middle of a tick holds up the others no longer than this


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What one tick can do, all of it locked.

    `taken` are the stations that stay taken once the due tickets are finished. `next_due_at` is the first of
    theirs; it lies in the past when somebody else holds what is due, or there was more than one tick takes.
    """

    due: tuple[Ticket, ...]
    startable: tuple[Ticket, ...]
    taken: frozenset[int]
    next_due_at: datetime | None


_LOCK_STATIONS = text(f"""
SELECT pg_advisory_xact_lock({STATIONS_LOCK}),
       set_config('idle_in_transaction_session_timeout', '{FROZEN_COOK_S}s', true),
       set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)
""")


async def lock_stations(connection: AsyncConnection) -> None:
    """One tick at a time over all replicas, until this transaction ends: only then can stations be counted.

    A statement of its own, because what is read after it must not be older than it.
    """
    await connection.execute(_LOCK_STATIONS)


# A row that somebody else holds is passed over: one stuck ticket must not stop the kitchen.
_WORKLOAD = text("""
WITH cooking AS MATERIALIZED (
    SELECT id, station, due_at FROM kitchen.kitchen_orders WHERE station > 0
), due AS (
    SELECT id, order_id, student_id, status, CAST(status_times AS text) AS path FROM kitchen.kitchen_orders
    WHERE id IN (SELECT id FROM cooking WHERE due_at <= CAST(:now AS timestamptz)
                 ORDER BY id LIMIT CAST(:batch AS integer))
    ORDER BY id FOR UPDATE SKIP LOCKED
), startable AS (
    SELECT id, order_id, student_id, status, CAST(status_times AS text) AS path FROM kitchen.kitchen_orders
    WHERE status = 'QUEUED' AND id >= CAST(:queue_from AS uuid)
    ORDER BY id LIMIT least(CAST(:batch AS integer), greatest(0, CAST(:stations AS integer)
        - (SELECT count(*) FROM cooking) + (SELECT count(*) FROM due)))
    FOR UPDATE SKIP LOCKED
)
SELECT staying.taken, staying.next_due_at, work.* FROM (
    SELECT coalesce(array_agg(station), '{}') AS taken, min(due_at) AS next_due_at
    FROM cooking WHERE id NOT IN (SELECT id FROM due)
) AS staying LEFT JOIN (SELECT * FROM due UNION ALL SELECT * FROM startable) AS work ON true
""")


async def take_workload(
    connection: AsyncConnection, *, now: datetime, stations: int, queue_from: UUID, batch: int
) -> Workload:
    """Lock what is due, and as much of the queue as there are stations free once that is done.

    Hold `lock_stations` first. Up to `batch` tickets of each kind, of the queue those from `queue_from` on.
    """
    parameters = {"now": now, "stations": stations, "queue_from": queue_from, "batch": batch}
    rows = (await connection.execute(_WORKLOAD, parameters)).mappings().all()
    tickets = [to_ticket(row) for row in rows if row["id"] is not None]
    return Workload(
        due=tuple(ticket for ticket in tickets if ticket.status is TicketStatus.IN_KITCHEN),
        startable=tuple(ticket for ticket in tickets if ticket.status is TicketStatus.QUEUED),
        taken=frozenset(rows[0]["taken"]),
        next_due_at=rows[0]["next_due_at"],
    )


_STARTED_BY_HAND = text("""
SELECT id, order_id, student_id, status, CAST(status_times AS text) AS path FROM kitchen.kitchen_orders
WHERE status = 'IN_KITCHEN' AND station IS NULL
ORDER BY id LIMIT CAST(:batch AS integer) FOR UPDATE SKIP LOCKED
""")


async def take_started_by_hand(connection: AsyncConnection, *, batch: int) -> Sequence[Ticket]:
    """Lock what people had started before the kitchen was told to cook by itself: it has neither station nor due time."""
    rows = await connection.execute(_STARTED_BY_HAND, {"batch": batch})
    return [to_ticket(row) for row in rows.mappings()]
