"""SQL of delivery reconciliation: which status events are confirmed as received, and which to check next."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.chassis.messaging.outbox import OutboxMessage
from cafeteria.chassis.messaging.reconciliation import Finding, Unconfirmed, back_off
from cafeteria.contracts.subjects import GATEWAY, NOTIFICATION
from cafeteria.kitchen.repository.rows import PICKUP, to_ticket
from cafeteria.kitchen.repository.tickets import status_message

_FIND_DUE = Statement("""
SELECT order_id, version, gateway_version, notified_version, confirm_at FROM kitchen.kitchen_orders AS ticket
WHERE confirm_at <= now()
  AND NOT EXISTS (SELECT FROM kitchen.outbox WHERE outbox.order_id = ticket.order_id)
ORDER BY confirm_at LIMIT CAST(:limit AS integer)
""")

# Nothing waits here: a ticket that is locked, or that has changed since it was read, keeps its time of the next check.
_STORE = Statement(f"""
WITH findings AS (
    SELECT * FROM unnest(CAST(:order_ids AS uuid[]), CAST(:due_ats AS timestamptz[]), CAST(:at_gateway AS boolean[]),
                         CAST(:at_notification AS boolean[]), CAST(:are_done AS boolean[]),
                         CAST(:are_missing AS boolean[]))
        AS finding(order_id, due_at, at_gateway, at_notification, is_done, is_missing)
), locked AS (
    SELECT ticket.ctid AS row, finding.* FROM findings AS finding JOIN kitchen.kitchen_orders AS ticket
        ON ticket.order_id = finding.order_id AND ticket.confirm_at = finding.due_at
    ORDER BY ticket.id FOR UPDATE OF ticket SKIP LOCKED
), checked AS (
    UPDATE kitchen.kitchen_orders AS ticket SET
        gateway_version = CASE WHEN locked.at_gateway THEN ticket.version ELSE ticket.gateway_version END,
        notified_version = CASE WHEN locked.at_notification THEN ticket.version ELSE ticket.notified_version END,
        confirm_at = CASE WHEN NOT locked.is_done
            THEN now() + {back_off(since="coalesce(collected_at, completed_at, started_at, received_at)")} END
    FROM locked WHERE ticket.ctid = locked.row
    RETURNING locked.is_missing, ticket.id, ticket.order_id, ticket.student_id, ticket.status, ticket.traceparent, ticket.number, ticket.refusal,
        CASE WHEN locked.is_missing THEN CAST(ticket.status_times AS text) END AS path
)
SELECT id, order_id, student_id, status, traceparent, path, refusal, {PICKUP} FROM checked WHERE is_missing
""")  # noqa: S608 - put together from constants


async def find_due(connection: AsyncConnection, limit: int) -> list[Unconfirmed]:
    """Return tickets whose latest status is due for a check, and is not in the outbox any more."""
    rows = await _FIND_DUE.rows(connection, {"limit": limit})
    return [
        Unconfirmed(
            key=row.order_id,
            due_at=row.confirm_at,
            wanted={
                receiver: row.version
                for receiver, confirmed in (
                    (GATEWAY, row.gateway_version),
                    (NOTIFICATION, row.notified_version),
                )
                if confirmed < row.version
            },
        )
        for row in rows
    ]


async def store(
    connection: AsyncConnection, findings: Sequence[Finding]
) -> Mapping[UUID, Sequence[OutboxMessage]]:
    """Raise the confirmed versions; return the latest status of each ticket that a receiver lacks.

    When two replicas have the same findings, only one of them gets those messages.
    """
    rows = await _STORE.rows(
        connection,
        {
            "order_ids": [finding.key for finding in findings],
            "due_ats": [finding.due_at for finding in findings],
            "at_gateway": [GATEWAY in finding.confirmed_by for finding in findings],
            "at_notification": [NOTIFICATION in finding.confirmed_by for finding in findings],
            "are_done": [finding.is_done for finding in findings],
            "are_missing": [bool(finding.missing_at) for finding in findings],
        },
    )
    return {row.order_id: [status_message(to_ticket(row))] for row in rows}
