"""Read which orders are due for a delivery check, and store what the check has found.

The database's clock decides which orders are due.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Row, Statement
from cafeteria.chassis.messaging.outbox import OutboxMessage, outbox_message
from cafeteria.chassis.messaging.reconciliation import Finding, Unconfirmed, back_off
from cafeteria.contracts.subjects import GATEWAY_STATUS, KITCHEN, NOTIFICATION, WORK_PLACED
from cafeteria.contracts.values import OrderStatus
from cafeteria.gateway.domain import (
    OWN_VERSION_LIMIT,
    StoredOrder,
    cook_order,
    own_status_event,
    versions_to_deliver,
)
from cafeteria.gateway.repository.rows import RETURNED, stored_order

_FIND_DUE = Statement("""
SELECT id, status, kitchen_seen_at, notified_version, next_check_at FROM gateway.orders AS o
WHERE next_check_at <= now() AND NOT EXISTS (SELECT FROM gateway.outbox WHERE outbox.order_id = o.id)
ORDER BY next_check_at LIMIT CAST(:limit AS integer)
""")

# A finding counts only for the state that was checked. A later change of the order (a decision, another replica's
# finding) has set another time to check, and then this stores nothing and sends nothing.
_STORE = Statement(f"""
WITH findings AS (
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:due_ats AS timestamptz[]), CAST(:at_kitchen AS boolean[]),
        CAST(:at_notification AS boolean[]), CAST(:are_done AS boolean[]), CAST(:lack_command AS boolean[]),
        CAST(:lack_event AS boolean[])
    ) AS finding (id, due_at, at_kitchen, at_notification, is_done, lacks_command, lacks_event)
), due AS (
    SELECT o.id FROM gateway.orders AS o JOIN findings AS f ON f.id = o.id
    WHERE o.next_check_at = f.due_at ORDER BY o.id FOR UPDATE OF o
), checked AS (
    UPDATE gateway.orders AS o
    SET kitchen_seen_at = CASE WHEN f.at_kitchen THEN COALESCE(o.kitchen_seen_at, now()) ELSE o.kitchen_seen_at END,
        notified_version = CASE WHEN f.at_notification
            THEN GREATEST(o.notified_version, LEAST(o.version, {OWN_VERSION_LIMIT})) ELSE o.notified_version END,
        next_check_at = CASE WHEN NOT f.is_done THEN now() + {back_off(since="o.created_at")} END
    FROM due AS d JOIN findings AS f ON f.id = d.id
    WHERE o.id = d.id AND o.next_check_at = f.due_at
    RETURNING f.lacks_command, f.lacks_event, {RETURNED}
)
SELECT * FROM checked WHERE lacks_command OR lacks_event
""")  # noqa: S608 - put together from constants


async def find_due(connection: AsyncConnection, limit: int) -> list[Unconfirmed]:
    """Return orders that are due for a delivery check and have no message in the outbox."""
    rows = await _FIND_DUE.rows(connection, {"limit": limit})
    return [
        Unconfirmed(
            key=row.id,
            due_at=row.next_check_at,
            wanted=versions_to_deliver(
                OrderStatus(row.status),
                is_known_to_kitchen=row.kitchen_seen_at is not None,
                notified_version=row.notified_version,
            ),
        )
        for row in rows
    ]


async def store(
    connection: AsyncConnection, findings: Sequence[Finding]
) -> Mapping[UUID, Sequence[OutboxMessage]]:
    """Store the findings about orders that have not changed since; return the messages that a receiver lacks.

    When two replicas have the same findings, only one of them gets those messages.
    """
    rows = await _STORE.rows(
        connection,
        {
            "ids": [finding.key for finding in findings],
            "due_ats": [finding.due_at for finding in findings],
            "at_kitchen": [KITCHEN in finding.confirmed_by for finding in findings],
            "at_notification": [NOTIFICATION in finding.confirmed_by for finding in findings],
            "are_done": [finding.is_done for finding in findings],
            "lack_command": [KITCHEN in finding.missing_at for finding in findings],
            "lack_event": [NOTIFICATION in finding.missing_at for finding in findings],
        },
    )
    return {row.id: _messages(row, stored_order(row)) for row in rows}


def _messages(row: Row, order: StoredOrder) -> list[OutboxMessage]:
    """Return the messages to publish again; a cook command only while the order is STOCK_VERIFIED."""
    messages: list[OutboxMessage] = []
    if row.lacks_event:
        event = own_status_event(order)
        messages.append(outbox_message(GATEWAY_STATUS, event, key=order.id, version=event.version))
    if row.lacks_command and order.status is OrderStatus.STOCK_VERIFIED:
        messages.append(outbox_message(WORK_PLACED, cook_order(order), key=order.id, version=order.version))
    return messages
