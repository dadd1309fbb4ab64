"""Enqueue and move tickets. Writes take lists, and guard by the state that a ticket leaves.

One statement writes a ticket's change, its history row and its message, so none of them exists without the others.
It locks rows in id order.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Row, Statement
from cafeteria.chassis.messaging.outbox import OutboxMessage, insert_rows, outbox_message
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts import subjects
from cafeteria.contracts.values import STATUS_VERSIONS, OrderStatus
from cafeteria.kitchen.domain import (
    CONFIRM_AFTER,
    STATES_BEFORE,
    Move,
    NewTicket,
    Quote,
    Ticket,
    status_event_of,
)
from cafeteria.kitchen.repository.rows import TICKET, encode, to_json, to_ticket
from cafeteria.kitchen.tables import STATION_INDEX


class StationTaken(Exception):
    """Another replica took the station first."""


_INSERT = Statement("""
WITH inserted AS (
    INSERT INTO kitchen.kitchen_orders
        (id, order_id, student_id, status, version, lines, status_times, traceparent, received_at,
         quoted_from, quoted_to, quoted_at_once)
    SELECT u.id, u.order_id, u.student_id, 'QUEUED', 2, u.lines, u.status_times, u.traceparent,
           CAST(:received_at AS timestamptz), u.quoted_from, u.quoted_to, u.quoted_at_once
    FROM unnest(CAST(:ids AS uuid[]), CAST(:order_ids AS uuid[]), CAST(:student_ids AS text[]),
                CAST(:lines AS jsonb[]), CAST(:status_times AS jsonb[]), CAST(:traceparents AS text[]),
                CAST(:quoted_from AS timestamptz[]), CAST(:quoted_to AS timestamptz[]), CAST(:quoted_at_once AS boolean[]))
        AS u(id, order_id, student_id, lines, status_times, traceparent, quoted_from, quoted_to, quoted_at_once)
    ORDER BY u.order_id
    ON CONFLICT (order_id) DO NOTHING
    RETURNING 1
)
SELECT count(*) AS inserted FROM inserted
""")


async def insert_tickets(
    connection: AsyncConnection, tickets: Sequence[NewTicket], *, received_at: datetime
) -> int:
    """Enqueue tickets for orders that have none yet; return how many those were."""
    [counted] = await _INSERT.rows(
        connection,
        {
            "ids": [new_id() for _ in tickets],
            "order_ids": [ticket.order_id for ticket in tickets],
            "student_ids": [ticket.student_id for ticket in tickets],
            "lines": [to_json(ticket.lines) for ticket in tickets],
            "status_times": [to_json(ticket.path) for ticket in tickets],
            "traceparents": [ticket.traceparent for ticket in tickets],
            "received_at": received_at,
            "quoted_from": [ticket.quote and ticket.quote.ready_from for ticket in tickets],
            "quoted_to": [ticket.quote and ticket.quote.ready_to for ticket in tickets],
            "quoted_at_once": [ticket.quote and ticket.quote.at_once for ticket in tickets],
        },
    )
    return int(counted.inserted)


_LOCK_BY_ORDER = Statement(f"""
SELECT {TICKET} FROM kitchen.kitchen_orders
WHERE order_id = ANY(CAST(:order_ids AS uuid[])) ORDER BY id FOR UPDATE
""")  # noqa: S608 - put together from constants


async def lock_by_order(connection: AsyncConnection, order_ids: Sequence[UUID]) -> list[Ticket]:
    rows = await _LOCK_BY_ORDER.rows(connection, {"order_ids": list(order_ids)})
    return [to_ticket(row) for row in rows]


_LOCK = Statement(f"""
SELECT {TICKET} FROM kitchen.kitchen_orders
WHERE id = CAST(:id AS uuid) FOR UPDATE
""")  # noqa: S608 - put together from constants


async def lock(connection: AsyncConnection, ticket_id: UUID) -> Ticket | None:
    rows = await _LOCK.rows(connection, {"id": ticket_id})
    return to_ticket(rows[0]) if rows else None


_STEPS = ", ".join(
    f"('{was}', '{status}', {STATUS_VERSIONS[OrderStatus(status)]})" for status, was in STATES_BEFORE.items()
)

# Moves every ticket that is not locked elsewhere and is still in the state that its move leaves. A ticket that needs a
# station gets one that is free or that this very statement sets free; without one it is not moved. The statement finds
# a locked row again by its ctid: a row that another transaction changed since the statement began has a new one, and is
# not moved either.
_MOVE = Statement(f"""
WITH move AS MATERIALIZED (
    SELECT u.*, step.was, step.version, CAST(:at AS timestamptz) AS at, jsonb_build_object(
        'status', u.status, 'version', step.version, 'at', CAST(:at_as_json AS jsonb)) AS step
    FROM unnest(CAST(:ids AS uuid[]), CAST(:statuses AS text[]), CAST(:due_ats AS timestamptz[]),
        CAST(:bodies AS bytea[]), CAST(:refusals AS text[])) WITH ORDINALITY AS u(id, status, due_at, body, refusal, place)
    JOIN (VALUES {_STEPS}) AS step(was, status, version) ON step.status = u.status
), locked AS MATERIALIZED (
    SELECT move.*, ticket.order_id, ticket.station, ticket.ctid AS row,
        ticket.received_at, ticket.quoted_from, ticket.quoted_to, ticket.quoted_at_once FROM move
    JOIN kitchen.kitchen_orders AS ticket ON ticket.id = move.id AND ticket.status = move.was
    ORDER BY ticket.id FOR UPDATE OF ticket SKIP LOCKED
), leaving AS (
    UPDATE kitchen.kitchen_orders AS ticket SET
        status = locked.status, version = locked.version, status_times = ticket.status_times || locked.step,
        started_at = CASE locked.status WHEN 'IN_KITCHEN' THEN locked.at ELSE ticket.started_at END,
        station = NULL, refusal = locked.refusal,
        completed_at = CASE locked.status WHEN 'READY' THEN locked.at ELSE ticket.completed_at END,
        collected_at = CASE locked.status WHEN 'COLLECTED' THEN locked.at ELSE ticket.collected_at END,
        confirm_at = locked.at + CAST(:confirm_after AS interval)
    FROM locked WHERE ticket.ctid = locked.row AND locked.due_at IS NULL
    RETURNING locked.*
), free AS (
    SELECT station, row_number() OVER () AS turn FROM (
        SELECT unnest(CAST(:free_stations AS smallint[])) AS station
        UNION ALL SELECT station FROM leaving WHERE station IS NOT NULL
    ) AS stations
), entering AS (
    UPDATE kitchen.kitchen_orders AS ticket SET
        status = next.status, version = next.version, status_times = ticket.status_times || next.step,
        started_at = next.at, station = free.station, due_at = next.due_at,
        confirm_at = next.at + CAST(:confirm_after AS interval)
    FROM (SELECT *, row_number() OVER (ORDER BY place) AS turn FROM locked WHERE due_at IS NOT NULL) AS next
    JOIN free ON free.turn = next.turn
    WHERE ticket.ctid = next.row
    RETURNING next.*
), updated AS (
    SELECT id, order_id, status, version, CAST(:subject AS text) AS subject, body, place FROM leaving
    UNION ALL SELECT id, order_id, status, version, CAST(:subject AS text), body, place FROM entering
), history_rows AS (
    INSERT INTO kitchen.order_status_history (id, kitchen_order_id, status, changed_at)
    SELECT uuidv7(), id, status, CAST(:at AS timestamptz) FROM updated
), outbox_rows AS (
    {insert_rows("kitchen.outbox", key="order_id", source="updated")}
)
SELECT id, false AS is_moved, NULL AS received_at, NULL AS quoted_from, NULL AS quoted_to, NULL AS quoted_at_once
FROM move WHERE NOT EXISTS (SELECT FROM updated WHERE updated.id = move.id)
UNION ALL
SELECT id, true, received_at, quoted_from, quoted_to, quoted_at_once FROM leaving
WHERE status = 'READY' AND quoted_to IS NOT NULL
""")  # noqa: S608 - put together from the domain's constants


async def write_moves(
    connection: AsyncConnection, moves: Sequence[Move], *, free_stations: Sequence[int] = ()
) -> list[Move]:
    """Write moves, all of one time, with history and messages in one statement; return the moves that took place.

    Those to READY have the quotes of their tickets, which the same statement reads.
    Raises StationTaken, having written nothing, when another replica has taken one of `free_stations` meanwhile.
    """
    if not moves:
        return []
    try:
        rows = await _MOVE.rows(connection, _parameters_of(moves, free_stations=free_stations))
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == STATION_INDEX:
            raise StationTaken from error
        raise
    unmoved = {row.id for row in rows if not row.is_moved}
    quotes = {row.id: _quote_of(row) for row in rows if row.is_moved}
    return [
        replace(move, quote=quotes[move.ticket.id]) if move.ticket.id in quotes else move
        for move in moves
        if move.ticket.id not in unmoved
    ]


def _quote_of(row: Row) -> Quote:
    return Quote(
        told_at=row.received_at,
        ready_from=row.quoted_from,
        ready_to=row.quoted_to,
        at_once=row.quoted_at_once,
    )


def _parameters_of(moves: Sequence[Move], *, free_stations: Sequence[int]) -> dict[str, Any]:
    at = moves[0].at
    return {
        "ids": [move.ticket.id for move in moves],
        "statuses": [move.status.value for move in moves],
        "due_ats": [move.due_at for move in moves],
        "refusals": [move.refusal for move in moves],
        "bodies": [encode(status_event_of(move.moved)) for move in moves],
        "at": at,
        "at_as_json": to_json(at),
        "subject": subjects.KITCHEN_STATUS.subject,
        "confirm_after": CONFIRM_AFTER,
        "free_stations": list(free_stations),
    }


def status_message(ticket: Ticket) -> OutboxMessage:
    """Return the event of the ticket's latest status, with its whole path, under a new message id."""
    event = status_event_of(ticket)
    return outbox_message(subjects.KITCHEN_STATUS, event, key=event.order_id, version=event.version)
