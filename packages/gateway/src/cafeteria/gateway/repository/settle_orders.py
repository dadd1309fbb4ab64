"""Store stock's decisions, the final answers and the messages about them, for orders still PENDING."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.chassis.messaging.outbox import insert_rows
from cafeteria.contracts.subjects import GATEWAY_STATUS, WORK_PLACED
from cafeteria.gateway.answers import Answer, Settlement
from cafeteria.gateway.domain import StoredOrder
from cafeteria.gateway.repository.rows import KEY_COLUMNS, ORDER_COLUMNS, stored_answer, stored_order
from cafeteria.gateway.tables import IdempotencyKeyRow, OrderRow

# One statement is one commit. Prices, total and snapshot are read out of the answer, so the stored order equals
# the answer that is sent. Rows are locked in id order before any is changed; an order that is no longer PENDING
# gets neither a new answer nor a message.
_SETTLE = Statement(f"""
WITH verdicts AS (
    SELECT verdict.*, CAST(convert_from(body, 'UTF8') AS jsonb) AS snapshot
    FROM unnest(
        CAST(:order_ids AS uuid[]), CAST(:statuses AS text[]), CAST(:reasons AS text[]),
        CAST(:decided_ats AS text[]), CAST(:answer_statuses AS smallint[]), CAST(:bodies AS bytea[]),
        CAST(:status_events AS bytea[]), CAST(:cook_commands AS bytea[])
    ) WITH ORDINALITY AS verdict (
        order_id, status, reason, decided_at, answer_status, body, status_event, cook_command, place
    )
), still_pending AS (
    SELECT id FROM gateway.orders
    WHERE id = ANY(CAST(:order_ids AS uuid[])) AND status = 'PENDING'
    ORDER BY id FOR UPDATE
), updated AS (
    UPDATE gateway.orders AS o
    SET status = v.status, version = 2, rejection_reason = v.reason,
        lines = COALESCE(v.snapshot -> 'lines', o.lines), total = CAST(v.snapshot ->> 'total' AS numeric),
        status_times = o.status_times || jsonb_build_object(v.status, v.decided_at),
        updated_at = now(), next_ask_at = NULL, next_check_at = now() + interval '5 seconds'
    FROM still_pending AS p JOIN verdicts AS v ON v.order_id = p.id
    WHERE o.id = p.id AND o.status = 'PENDING'
    RETURNING o.id, o.version
), answered AS (
    UPDATE gateway.idempotency_keys AS k
    SET response_snapshot = v.snapshot, response_status = v.answer_status, response_body = v.body
    FROM updated AS m JOIN verdicts AS v ON v.order_id = m.id
    WHERE k.order_id = m.id
), messages AS (
    SELECT v.order_id, m.version, message.subject, message.body, 2 * v.place + message.turn AS place
    FROM updated AS m JOIN verdicts AS v ON v.order_id = m.id CROSS JOIN LATERAL (VALUES
        (0, CAST(:status_subject AS text), v.status_event), (1, :cook_subject, v.cook_command)
    ) AS message (turn, subject, body)
    WHERE message.body IS NOT NULL
), outbox_rows AS (
    {insert_rows("gateway.outbox", key="order_id", source="messages")}
)
SELECT order_id FROM verdicts WHERE NOT EXISTS (SELECT FROM updated WHERE updated.id = order_id)
""")  # noqa: S608 - put together from constants

_FIND_ANSWERS = (
    sa.select(*ORDER_COLUMNS, *KEY_COLUMNS)
    .outerjoin(IdempotencyKeyRow, IdempotencyKeyRow.order_id == OrderRow.id)
    .where(OrderRow.id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.Uuid))))
)


async def settle(connection: AsyncConnection, settlements: Sequence[Settlement]) -> set[UUID]:
    """Store the verdicts, each order once; return the orders that were no longer PENDING, usually none.

    The other orders' outbox rows are stored with them in the order given, an order's event before its command.
    """
    verdicts = [settlement.verdict for settlement in settlements]
    orders = [verdict.order for verdict in verdicts]
    unchanged = await _SETTLE.rows(
        connection,
        {
            "order_ids": [order.id for order in orders],
            "statuses": [order.status for order in orders],
            "reasons": [order.rejection_reason for order in orders],
            "decided_ats": [verdict.decided_at.isoformat() for verdict in verdicts],
            "answer_statuses": [settlement.answer.status for settlement in settlements],
            "bodies": [settlement.answer.body for settlement in settlements],
            "status_events": [settlement.status_event for settlement in settlements],
            "cook_commands": [settlement.cook_command for settlement in settlements],
            "status_subject": GATEWAY_STATUS.subject,
            "cook_subject": WORK_PLACED.subject,
        },
    )
    return {row.order_id for row in unchanged}


async def find_answers(
    connection: AsyncConnection, order_ids: Sequence[UUID]
) -> dict[UUID, tuple[StoredOrder, Answer | None]]:
    """Return the orders as stored, each with its final answer; None while it has none."""
    rows = await connection.execute(_FIND_ANSWERS, {"ids": list(order_ids)})
    return {row.id: (stored_order(row), stored_answer(row)) for row in rows}
