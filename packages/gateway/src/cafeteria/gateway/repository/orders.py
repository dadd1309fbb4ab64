"""Reads orders, and projects the kitchen's states onto them."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.values import OrderVersion
from cafeteria.gateway.domain import StoredOrder
from cafeteria.gateway.repository.rows import ORDER_COLUMNS, stored_order
from cafeteria.gateway.tables import OrderRow

_ENCODER = msgspec.json.Encoder()

# A state that was reached earlier keeps its stored time. An order that has ended does not change again. A cancelled
# order is due for its release at once. After any event the kitchen is known to have the order, and its events carry
# the gateway's own states to notification: from then on the kitchen reconciles their delivery.
_PROJECT = Statement("""
WITH events AS (
    SELECT * FROM unnest(
        CAST(:order_ids AS uuid[]), CAST(:statuses AS text[]), CAST(:versions AS smallint[]),
        CAST(:times AS text[])
    ) AS event (order_id, status, version, times)
), outdated AS (
    SELECT o.id FROM gateway.orders AS o JOIN events AS e ON e.order_id = o.id
    WHERE o.version < e.version AND o.status NOT IN ('REJECTED', 'CANCELLED')
    ORDER BY o.id FOR UPDATE OF o
), updated AS (
    UPDATE gateway.orders AS o
    SET status = e.status, version = e.version, status_times = CAST(e.times AS jsonb) || o.status_times,
        updated_at = now(), kitchen_seen_at = COALESCE(o.kitchen_seen_at, now()), next_check_at = NULL,
        next_ask_at = CASE WHEN e.status = 'CANCELLED' THEN now() END
    FROM outdated AS d JOIN events AS e ON e.order_id = d.id
    WHERE o.id = d.id AND o.version < e.version
    RETURNING o.status
)
SELECT EXISTS (SELECT FROM updated WHERE status = 'CANCELLED') AS has_cancelled
""")

_MISSING = Statement("""
SELECT asked.order_id, asked.version
FROM unnest(CAST(:order_ids AS uuid[]), CAST(:versions AS smallint[])) AS asked (order_id, version)
LEFT JOIN gateway.orders AS o ON o.id = asked.order_id AND o.version >= asked.version
WHERE o.id IS NULL
""")


async def find_order(connection: AsyncConnection, order_id: UUID) -> StoredOrder | None:
    row = (await connection.execute(sa.select(*ORDER_COLUMNS).where(OrderRow.id == order_id))).one_or_none()
    return None if row is None else stored_order(row)


async def find_orders_of(
    connection: AsyncConnection, student_id: str, *, before: UUID | None, limit: int
) -> list[StoredOrder]:
    """The student's orders, newest first; `before` is the last order of the previous page."""
    wanted = sa.select(*ORDER_COLUMNS).where(OrderRow.student_id == student_id)
    if before is not None:
        wanted = wanted.where(OrderRow.id < before)
    rows = await connection.execute(wanted.order_by(OrderRow.id.desc()).limit(limit))
    return [stored_order(row) for row in rows]


async def project(connection: AsyncConnection, changes: Sequence[OrderStatusChanged]) -> bool:
    """Store the kitchen's states, one change per order, if its version is greater than the stored one.

    Returns whether this cancelled any order.
    """
    [outcome] = await _PROJECT.rows(
        connection,
        {
            "order_ids": [change.order_id for change in changes],
            "statuses": [change.status for change in changes],
            "versions": [change.version for change in changes],
            "times": [_times(change) for change in changes],
        },
    )
    return bool(outcome.has_cancelled)


def _times(change: OrderStatusChanged) -> str:
    times = {earlier.status: earlier.at for earlier in change.earlier}
    return _ENCODER.encode({**times, change.status: change.at}).decode()


async def find_missing(
    connection: AsyncConnection, asked: Sequence[OrderVersion]
) -> tuple[OrderVersion, ...]:
    """Those of `asked` that are not stored in that version or a greater one."""
    rows = await _MISSING.rows(
        connection,
        {
            "order_ids": [order.order_id for order in asked],
            "versions": [order.version for order in asked],
        },
    )
    return tuple(OrderVersion(order_id=row.order_id, version=row.version) for row in rows)
