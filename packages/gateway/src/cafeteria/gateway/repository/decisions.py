"""G2: stock's decisions, the final answers and the messages that say so, for orders that are still PENDING."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.statements import Statement
from cafeteria.contracts.bus import GATEWAY_STATUS, WORK_PLACED
from cafeteria.gateway.domain import Answer, Settlement, StoredOrder
from cafeteria.gateway.repository.rows import KEY_COLUMNS, ORDER_COLUMNS, stored_answer, stored_order
from cafeteria.gateway.tables import IdempotencyKeyRow, OrderRow

# One statement is one commit. Prices, total and snapshot are read out of the answer, so what is stored is
# what is sent. Rows are locked in id order before any is changed; an order that has moved on gets nothing,
# neither a new answer nor a message.
_SETTLE = Statement("""
WITH verdicts AS (
    SELECT verdict.*, CAST(convert_from(body, 'UTF8') AS jsonb) AS snapshot
    FROM unnest(
        CAST(:order_ids AS uuid[]), CAST(:statuses AS text[]), CAST(:reasons AS text[]),
        CAST(:decided_ats AS text[]), CAST(:answer_statuses AS smallint[]), CAST(:bodies AS bytea[]),
        CAST(:news AS bytea[]), CAST(:work AS bytea[]), CAST(:traceparents AS text[])
    ) WITH ORDINALITY AS verdict (
        order_id, status, reason, decided_at, answer_status, body, news, work, traceparent, place
    )
), still_pending AS (
    SELECT id FROM gateway.orders
    WHERE id = ANY(CAST(:order_ids AS uuid[])) AND status = 'PENDING'
    ORDER BY id FOR UPDATE
), moved AS (
    UPDATE gateway.orders AS o
    SET status = v.status, version = 2, rejection_reason = v.reason,
        lines = COALESCE(v.snapshot -> 'lines', o.lines), total = CAST(v.snapshot ->> 'total' AS numeric),
        status_times = o.status_times || jsonb_build_object(v.status, v.decided_at),
        updated_at = CAST(v.decided_at AS timestamptz), next_ask_at = NULL,
        next_check_at = CAST(v.decided_at AS timestamptz) + interval '5 seconds'
    FROM still_pending AS p JOIN verdicts AS v ON v.order_id = p.id
    WHERE o.id = p.id AND o.status = 'PENDING'
    RETURNING o.id, o.version
), answered AS (
    UPDATE gateway.idempotency_keys AS k
    SET response_snapshot = v.snapshot, response_status = v.answer_status, response_body = v.body
    FROM moved AS m JOIN verdicts AS v ON v.order_id = m.id
    WHERE k.order_id = m.id
), said AS (
    INSERT INTO gateway.outbox (order_id, version, subject, type_name, message_id, traceparent, body)
    SELECT v.order_id, m.version, message.subject, message.type_name, uuidv7(), v.traceparent, message.body
    FROM moved AS m JOIN verdicts AS v ON v.order_id = m.id CROSS JOIN LATERAL (VALUES
        (1, CAST(:news_subject AS text), CAST(:news_type AS text), v.news), (2, :work_subject, :work_type, v.work)
    ) AS message (turn, subject, type_name, body)
    WHERE message.body IS NOT NULL
    ORDER BY v.place, message.turn
)
SELECT order_id FROM verdicts WHERE NOT EXISTS (SELECT FROM moved WHERE moved.id = order_id)
""")

_FIND_ANSWERS = (
    sa.select(*ORDER_COLUMNS, *KEY_COLUMNS)
    .outerjoin(IdempotencyKeyRow, IdempotencyKeyRow.order_id == OrderRow.id)
    .where(OrderRow.id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.Uuid))))
)


async def settle(connection: AsyncConnection, settlements: Sequence[Settlement]) -> set[UUID]:
    """Write down the verdicts, each order once; returns the orders that had left PENDING before, mostly none.

    The messages of the others are stored with them in the order given, an order's news before its work.
    """
    verdicts = [settlement.verdict for settlement in settlements]
    orders = [verdict.order for verdict in verdicts]
    unmoved = await _SETTLE.rows(
        connection,
        {
            "order_ids": [order.id for order in orders],
            "statuses": [order.status for order in orders],
            "reasons": [order.rejection_reason for order in orders],
            "decided_ats": [verdict.decided_at.isoformat() for verdict in verdicts],
            "answer_statuses": [verdict.answer.status for verdict in verdicts],
            "bodies": [verdict.answer.body for verdict in verdicts],
            "news": [settlement.news for settlement in settlements],
            "work": [settlement.work for settlement in settlements],
            "traceparents": [settlement.traceparent for settlement in settlements],
            "news_subject": GATEWAY_STATUS.subject,
            "news_type": GATEWAY_STATUS.type_name,
            "work_subject": WORK_PLACED.subject,
            "work_type": WORK_PLACED.type_name,
        },
    )
    return {row.order_id for row in unmoved}


async def find_answers(
    connection: AsyncConnection, order_ids: Sequence[UUID]
) -> dict[UUID, tuple[StoredOrder, Answer | None]]:
    """The orders as they stand, each with its stored final answer; None while it has none."""
    rows = await connection.execute(_FIND_ANSWERS, {"ids": list(order_ids)})
    return {row.id: (stored_order(row), stored_answer(row)) for row in rows}
