"""SQL of delivery reconciliation: which status events are confirmed as received, and which to check next."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.kitchen.domain import Ticket
from cafeteria.kitchen.repository.rows import to_ticket


class Unconfirmed(msgspec.Struct, frozen=True, kw_only=True):
    """A status that a receiver may lack; a different `confirm_at` means that the ticket has changed since."""

    id: UUID
    order_id: UUID
    version: int
    gateway_version: int
    notified_version: int
    confirm_at: datetime
    changed_at: datetime


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """The result of checking an `Unconfirmed`; with `missing` set, its latest status is published again."""

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
    """Return tickets whose latest status is old enough to be checked, and is not in the outbox any more."""
    rows = await _UNCONFIRMED.rows(connection, {"now": now, "limit": limit})
    return [Unconfirmed(**row) for row in rows]


# Nothing waits here: a ticket that is locked, or that has changed since it was read, keeps its time of the next check.
_CONFIRM = Statement("""
WITH results AS (
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:seen AS timestamptz[]), CAST(:gateway AS smallint[]),
                         CAST(:notified AS smallint[]), CAST(:missing AS boolean[]),
                         CAST(:ask_again AS timestamptz[]))
        AS u(id, seen, gateway_version, notified_version, missing, ask_again_at)
), locked AS (
    SELECT ticket.ctid AS row, results.gateway_version, results.notified_version, results.missing, results.ask_again_at
    FROM results JOIN kitchen.kitchen_orders AS ticket
        ON ticket.id = results.id AND ticket.confirm_at = results.seen
    ORDER BY ticket.id FOR UPDATE OF ticket SKIP LOCKED
), confirmed AS (
    UPDATE kitchen.kitchen_orders AS ticket SET
        gateway_version = locked.gateway_version,
        notified_version = locked.notified_version,
        confirm_at = CASE WHEN locked.gateway_version >= ticket.version AND locked.notified_version >= ticket.version
                          THEN NULL ELSE locked.ask_again_at END
    FROM locked WHERE ticket.ctid = locked.row
    RETURNING locked.missing, ticket.id, ticket.order_id, ticket.student_id, ticket.status, ticket.traceparent,
        CASE WHEN locked.missing THEN CAST(ticket.status_times AS text) END AS path
)
SELECT id, order_id, student_id, status, traceparent, path FROM confirmed WHERE missing
""")


async def write_confirmations(
    connection: AsyncConnection, confirmations: Sequence[Confirmation]
) -> list[Ticket]:
    """Raise the confirmed versions, and return the tickets whose latest status a receiver lacks.

    When two replicas have the same results, only one of them gets those tickets.
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
