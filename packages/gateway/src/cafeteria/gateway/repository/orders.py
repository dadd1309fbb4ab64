"""Reading orders, and taking the kitchen's word about them."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.statements import Statement
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.values import OrderVersion
from cafeteria.gateway.domain import StoredOrder
from cafeteria.gateway.repository.rows import ORDER_COLUMNS, stored_order
from cafeteria.gateway.tables import OrderRow

_ENCODER = msgspec.json.Encoder()

# A state reached earlier keeps the time that is stored. What has ended does not move again. A cancelled order
# is due for its release at once, whoever the news came from. The kitchen has the order then, and what it tells
# notification carries the gateway's own states: from here on it is the kitchen that asks whether they arrived.
_PROJECT = Statement("""
WITH heard AS (
    SELECT * FROM unnest(
        CAST(:order_ids AS uuid[]), CAST(:statuses AS text[]), CAST(:versions AS smallint[]),
        CAST(:times AS text[])
    ) AS heard (order_id, status, version, times)
), behind AS (
    SELECT o.id FROM gateway.orders AS o JOIN heard AS h ON h.order_id = o.id
    WHERE o.version < h.version AND o.status NOT IN ('REJECTED', 'CANCELLED')
    ORDER BY o.id FOR UPDATE OF o
), moved AS (
    UPDATE gateway.orders AS o
    SET status = h.status, version = h.version, status_times = CAST(h.times AS jsonb) || o.status_times,
        updated_at = now(), kitchen_seen_at = COALESCE(o.kitchen_seen_at, now()), next_check_at = NULL,
        next_ask_at = CASE WHEN h.status = 'CANCELLED' THEN now() END
    FROM behind AS b JOIN heard AS h ON h.order_id = b.id
    WHERE o.id = b.id AND o.version < h.version
    RETURNING o.status
)
SELECT EXISTS (SELECT FROM moved WHERE status = 'CANCELLED') AS has_cancelled
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
    """Newest first; `before` is the last order of the page before."""
    wanted = sa.select(*ORDER_COLUMNS).where(OrderRow.student_id == student_id)
    if before is not None:
        wanted = wanted.where(OrderRow.id < before)
    rows = await connection.execute(wanted.order_by(OrderRow.id.desc()).limit(limit))
    return [stored_order(row) for row in rows]


async def project(connection: AsyncConnection, changes: Sequence[OrderStatusChanged]) -> bool:
    """Follow the kitchen: one change for each order, taken where its version is the greater one.

    Returns whether this cancelled any.
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
    """Those of `asked` that this schema has in no version as great."""
    rows = await _MISSING.rows(
        connection,
        {
            "order_ids": [order.order_id for order in asked],
            "versions": [order.version for order in asked],
        },
    )
    return tuple(OrderVersion(order_id=row.order_id, version=row.version) for row in rows)
