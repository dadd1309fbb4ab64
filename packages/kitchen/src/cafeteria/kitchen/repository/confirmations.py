"""Which of the kitchen's news are known to have arrived, and which to ask about next."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.statements import Statement
from cafeteria.kitchen.domain import Ticket
from cafeteria.kitchen.repository.rows import to_ticket


class Unconfirmed(msgspec.Struct, frozen=True, kw_only=True):
    """A status that a receiver may lack; `confirm_at` tells whether the ticket has moved since it was read."""

    id: UUID
    order_id: UUID
    version: int
    gateway_version: int
    notified_version: int
    confirm_at: datetime
    changed_at: datetime


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned about an `Unconfirmed`; `missing` asks for the ticket, to say it again."""

    asked: Unconfirmed
    gateway_version: int
    notified_version: int
    missing: bool
    ask_again_at: datetime


_UNCONFIRMED = Statement("""
SELECT id, order_id, version, gateway_version, notified_version, confirm_at,
       coalesce(collected_at, completed_at, started_at, received_at) AS changed_at
FROM kitchen.kitchen_orders AS ticket
WHERE confirm_at <= CAST(:now AS timestamptz)
  AND NOT EXISTS (SELECT FROM kitchen.outbox WHERE outbox.order_id = ticket.order_id)
ORDER BY confirm_at LIMIT CAST(:limit AS integer)
""")


async def read_unconfirmed(connection: AsyncConnection, *, now: datetime, limit: int) -> list[Unconfirmed]:
    """Tickets whose latest status is old enough to be asked about, and not on its way in the outbox."""
    rows = await _UNCONFIRMED.rows(connection, {"now": now, "limit": limit})
    return [Unconfirmed(**row) for row in rows]


# Nothing waits here: a ticket that somebody holds, or that has moved since it was read, keeps its time to be asked.
_CONFIRM = Statement("""
WITH learned AS (
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:seen AS timestamptz[]), CAST(:gateway AS smallint[]),
                         CAST(:notified AS smallint[]), CAST(:missing AS boolean[]),
                         CAST(:ask_again AS timestamptz[]))
        AS u(id, seen, gateway_version, notified_version, missing, ask_again_at)
), held AS (
    SELECT ticket.ctid AS row, learned.gateway_version, learned.notified_version, learned.missing, learned.ask_again_at
    FROM learned JOIN kitchen.kitchen_orders AS ticket
        ON ticket.id = learned.id AND ticket.confirm_at = learned.seen
    ORDER BY ticket.id FOR UPDATE OF ticket SKIP LOCKED
), confirmed AS (
    UPDATE kitchen.kitchen_orders AS ticket SET
        gateway_version = held.gateway_version,
        notified_version = held.notified_version,
        confirm_at = CASE WHEN held.gateway_version >= ticket.version AND held.notified_version >= ticket.version
                          THEN NULL ELSE held.ask_again_at END
    FROM held WHERE ticket.ctid = held.row
    RETURNING held.missing, ticket.id, ticket.order_id, ticket.student_id, ticket.status, ticket.traceparent,
        CASE WHEN held.missing THEN CAST(ticket.status_times AS text) END AS path
)
SELECT id, order_id, student_id, status, traceparent, path FROM confirmed WHERE missing
""")


async def write_confirmations(
    connection: AsyncConnection, confirmations: Sequence[Confirmation]
) -> list[Ticket]:
    """Raise what is confirmed, and return the tickets whose latest status somebody lacks.

    Of two replicas that learned the same, one alone gets those tickets.
    """
    rows = await _CONFIRM.rows(
        connection,
        {
            "ids": [each.asked.id for each in confirmations],
            "seen": [each.asked.confirm_at for each in confirmations],
            "gateway": [each.gateway_version for each in confirmations],
            "notified": [each.notified_version for each in confirmations],
            "missing": [each.missing for each in confirmations],
            "ask_again": [each.ask_again_at for each in confirmations],
        },
    )
    return [to_ticket(row) for row in rows]
