"""Taking in and moving tickets. Writes take lists, and guard by the state that a ticket leaves.

A ticket's change and its history row are one statement, so neither exists without the other. Rows are locked in
id order.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.ids import new_id
from cafeteria.contracts.values import PricedLine, StatusTime
from cafeteria.kitchen.domain import CONFIRM_AFTER, Move, Ticket
from cafeteria.kitchen.repository.rows import to_json, to_ticket


class NewTicket(msgspec.Struct, frozen=True, kw_only=True):
    """Work as it came in."""

    order_id: UUID
    student_id: str
    lines: tuple[PricedLine, ...]
    path: tuple[StatusTime, ...]


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


_MOVE = text("""
WITH moved AS (
    UPDATE kitchen.kitchen_orders AS ticket SET
        status = move.status,
        version = move.version,
        status_times = ticket.status_times || move.step,
        started_at = CASE move.status WHEN 'IN_KITCHEN' THEN move.at ELSE ticket.started_at END,
        station = move.station,
        due_at = coalesce(move.due_at, ticket.due_at),
        completed_at = CASE move.status WHEN 'READY' THEN move.at ELSE ticket.completed_at END,
        collected_at = CASE move.status WHEN 'COLLECTED' THEN move.at ELSE ticket.collected_at END,
        confirm_at = move.at + CAST(:confirm_after AS interval)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:was AS text[]), CAST(:statuses AS text[]),
                CAST(:versions AS smallint[]), CAST(:ats AS timestamptz[]), CAST(:due_ats AS timestamptz[]),
                CAST(:stations AS smallint[]), CAST(:steps AS jsonb[]), CAST(:history_ids AS uuid[]))
        AS move(id, was, status, version, at, due_at, station, step, history_id)
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
            "due_ats": [move.place and move.place.due_at for move in moves],
            "stations": [move.place and move.place.station for move in moves],
            "steps": [to_json(step) for step in steps],
            "history_ids": [new_id() for _ in moves],
            "confirm_after": CONFIRM_AFTER,
        },
    )
    ids = set(written.scalars())
    return [move for move in moves if move.ticket.id in ids]
