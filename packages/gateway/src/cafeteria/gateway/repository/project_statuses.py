"""Store the kitchen's states of orders."""

from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.orders import OrderStatusChanged

_encode = msgspec.json.Encoder().encode

# A state that was reached earlier keeps its stored time. An order that has ended does not change again. A cancelled
# order is due for its release at once. After any event the kitchen is known to have the order, and its events carry
# the gateway's own states to notification: from then on the kitchen reconciles their delivery.
_PROJECT = Statement("""
WITH events AS (
    SELECT * FROM unnest(
        CAST(:order_ids AS uuid[]), CAST(:statuses AS text[]), CAST(:versions AS smallint[]),
        CAST(:times AS text[]), CAST(:reasons AS text[])
    ) AS event (order_id, status, version, times, reason)
), outdated AS (
    SELECT o.id FROM gateway.orders AS o JOIN events AS e ON e.order_id = o.id
    WHERE o.version < e.version AND o.status NOT IN ('REJECTED', 'CANCELLED')
    ORDER BY o.id FOR UPDATE OF o
), updated AS (
    UPDATE gateway.orders AS o
    SET status = e.status, version = e.version, status_times = CAST(e.times AS jsonb) || o.status_times,
        rejection_reason = e.reason, updated_at = now(), kitchen_seen_at = COALESCE(o.kitchen_seen_at, now()), next_check_at = NULL,
        next_ask_at = CASE WHEN e.status = 'CANCELLED' THEN now() END
    FROM outdated AS d JOIN events AS e ON e.order_id = d.id
    WHERE o.id = d.id AND o.version < e.version
    RETURNING o.status
)
SELECT EXISTS (SELECT FROM updated WHERE status = 'CANCELLED') AS has_cancelled
""")


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
            "reasons": [change.reason for change in changes],
        },
    )
    return bool(outcome.has_cancelled)


def _times(change: OrderStatusChanged) -> str:
    times = {earlier.status: earlier.at for earlier in change.earlier}
    return _encode({**times, change.status: change.at}).decode()
