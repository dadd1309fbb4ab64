"""Taking in and moving tickets. Writes take lists, and guard by the state that a ticket leaves.

A ticket's change and its history row are one statement, so neither exists without the other. Rows are locked in
id order, and where that could mean to wait in the wrong order they are passed over.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zlib import crc32

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.ids import new_id
from cafeteria.contracts.kitchen import TicketStatus
from cafeteria.contracts.values import PricedLine, StatusTime
from cafeteria.kitchen.domain import CONFIRM_AFTER, Move, Ticket
from cafeteria.kitchen.repository.rows import to_json, to_ticket

STATIONS_LOCK = crc32(b"kitchen.stations")
FROZEN_COOK_S = 2  # a replica that stops in the middle of a tick holds up the others no longer than this


class NewTicket(msgspec.Struct, frozen=True, kw_only=True):
    """Work as it came in."""

    order_id: UUID
    student_id: str
    lines: tuple[PricedLine, ...]
    path: tuple[StatusTime, ...]


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What one tick can do, all of it locked.

    `cooking` counts every occupied station, the due ones' too. `next_due_at` is the first of the others; it lies
    in the past when somebody else holds what is due, or there was more than one tick takes.
    """

    due: tuple[Ticket, ...]
    startable: tuple[Ticket, ...]
    cooking: int
    next_due_at: datetime | None


_INSERT = text("""
INSERT INTO kitchen.kitchen_orders
    (id, order_id, student_id, status, version, lines, status_times, received_at)
SELECT u.id, u.order_id, u.student_id, 'QUEUED', 2, u.lines, u.status_times, CAST(:received_at AS timestamptz)
FROM unnest(CAST(:ids AS uuid[]), CAST(:order_ids AS uuid[]), CAST(:student_ids AS text[]),
            CAST(:lines AS jsonb[]), CAST(:status_times AS jsonb[]))
    AS u(id, order_id, student_id, lines, status_times)
ORDER BY u.order_id
ON CONFLICT (order_id) DO NOTHING
RETURNING order_id
""")


async def insert_tickets(
    connection: AsyncConnection, tickets: Sequence[NewTicket], *, received_at: datetime
) -> int:
    """Queue the tickets of orders that have none yet; returns how many those were."""
    inserted = await connection.execute(
        _INSERT,
        {
            "ids": [new_id() for _ in tickets],
            "order_ids": [ticket.order_id for ticket in tickets],
            "student_ids": [ticket.student_id for ticket in tickets],
            "lines": [to_json(ticket.lines) for ticket in tickets],
            "status_times": [to_json(ticket.path) for ticket in tickets],
            "received_at": received_at,
        },
    )
    return len(inserted.all())


_LOCK_BY_ORDER = text("""
SELECT id, order_id, student_id, status, CAST(status_times AS text) AS path FROM kitchen.kitchen_orders
WHERE order_id = ANY(CAST(:order_ids AS uuid[])) ORDER BY id FOR UPDATE
""")


async def lock_by_order(connection: AsyncConnection, order_ids: Sequence[UUID]) -> list[Ticket]:
    rows = await connection.execute(_LOCK_BY_ORDER, {"order_ids": list(order_ids)})
    return [to_ticket(row) for row in rows.mappings()]


_LOCK = text("""
SELECT id, order_id, student_id, status, CAST(status_times AS text) AS path FROM kitchen.kitchen_orders
WHERE id = CAST(:id AS uuid) FOR UPDATE
""")


async def lock(connection: AsyncConnection, ticket_id: UUID) -> Ticket | None:
    row = (await connection.execute(_LOCK, {"id": ticket_id})).mappings().first()
    return None if row is None else to_ticket(row)


_LOCK_STATIONS = text(f"""
SELECT pg_advisory_xact_lock({STATIONS_LOCK}),
       set_config('idle_in_transaction_session_timeout', '{FROZEN_COOK_S}s', true)
""")


async def lock_stations(connection: AsyncConnection) -> None:
    """One tick at a time over all replicas, until this transaction ends: only then can stations be counted.

    A statement of its own, because what is read after it must not be older than it.
    """
    await connection.execute(_LOCK_STATIONS)


# A row that somebody else holds is passed over: one stuck ticket must not stop the kitchen. One that people had
# started, before the kitchen was told to cook by itself, has no due_at and is due.
_WORKLOAD = text("""
WITH due AS (
    SELECT id, order_id, student_id, status, CAST(status_times AS text) AS path FROM kitchen.kitchen_orders
    WHERE status = 'IN_KITCHEN' AND (due_at <= CAST(:now AS timestamptz) OR due_at IS NULL)
    ORDER BY id LIMIT CAST(:batch AS integer) FOR UPDATE SKIP LOCKED
), startable AS (
    SELECT id, order_id, student_id, status, CAST(status_times AS text) AS path FROM kitchen.kitchen_orders
    WHERE status = 'QUEUED'
    ORDER BY id LIMIT least(CAST(:batch AS integer), greatest(0, CAST(:stations AS integer)
        - (SELECT count(*) FROM kitchen.kitchen_orders WHERE status = 'IN_KITCHEN')
        + (SELECT count(*) FROM due)))
    FOR UPDATE SKIP LOCKED
)
SELECT stations.cooking, stations.next_due_at, work.* FROM (
    SELECT count(*) AS cooking, min(due_at) FILTER (WHERE id NOT IN (SELECT id FROM due)) AS next_due_at
    FROM kitchen.kitchen_orders WHERE status = 'IN_KITCHEN'
) AS stations LEFT JOIN (SELECT * FROM due UNION ALL SELECT * FROM startable) AS work ON true
""")


async def take_workload(connection: AsyncConnection, *, now: datetime, stations: int, batch: int) -> Workload:
    """Lock what is due, and as much of the queue as there are stations free once that is done.

    Hold `lock_stations` first. Up to `batch` tickets of each kind.
    """
    parameters = {"now": now, "stations": stations, "batch": batch}
    rows = (await connection.execute(_WORKLOAD, parameters)).mappings().all()
    tickets = [to_ticket(row) for row in rows if row["id"] is not None]
    return Workload(
        due=tuple(ticket for ticket in tickets if ticket.status is TicketStatus.IN_KITCHEN),
        startable=tuple(ticket for ticket in tickets if ticket.status is TicketStatus.QUEUED),
        cooking=rows[0]["cooking"],
        next_due_at=rows[0]["next_due_at"],
    )


_MOVE = text("""
WITH moved AS (
    UPDATE kitchen.kitchen_orders AS ticket SET
        status = move.status,
        version = move.version,
        status_times = ticket.status_times || move.step,
        started_at = CASE move.status WHEN 'IN_KITCHEN' THEN move.at ELSE ticket.started_at END,
        due_at = coalesce(move.due_at, ticket.due_at),
        completed_at = CASE move.status WHEN 'READY' THEN move.at ELSE ticket.completed_at END,
        collected_at = CASE move.status WHEN 'COLLECTED' THEN move.at ELSE ticket.collected_at END,
        confirm_at = move.at + CAST(:confirm_after AS interval)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:was AS text[]), CAST(:statuses AS text[]),
                CAST(:versions AS smallint[]), CAST(:ats AS timestamptz[]), CAST(:due_ats AS timestamptz[]),
                CAST(:steps AS jsonb[]), CAST(:history_ids AS uuid[]))
        AS move(id, was, status, version, at, due_at, step, history_id)
    WHERE ticket.id = move.id AND ticket.status = move.was
    RETURNING ticket.id, move.history_id, move.status, move.at
), history AS (
    INSERT INTO kitchen.order_status_history (id, kitchen_order_id, status, changed_at)
    SELECT history_id, id, status, at FROM moved
)
SELECT id FROM moved
""")


async def write_moves(connection: AsyncConnection, moves: Sequence[Move]) -> list[Move]:
    """Write the moves whose tickets still stand where they stood, with their history; returns those.

    The tickets must be locked by this transaction, or two of these may wait for each other.
    """
    if not moves:
        return []
    steps = [move.step for move in moves]
    written = await connection.execute(
        _MOVE,
        {
            "ids": [move.ticket.id for move in moves],
            "was": [move.was.value for move in moves],
            "statuses": [move.status.value for move in moves],
            "versions": [step.version for step in steps],
            "ats": [move.at for move in moves],
            "due_ats": [move.due_at for move in moves],
            "steps": [to_json(step) for step in steps],
            "history_ids": [new_id() for _ in moves],
            "confirm_after": CONFIRM_AFTER,
        },
    )
    ids = set(written.scalars())
    return [move for move in moves if move.ticket.id in ids]
