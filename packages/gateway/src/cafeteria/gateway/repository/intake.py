"""G1: idempotency keys first, then PENDING orders for the keys that were new; and what stands behind a key."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.statements import Statement
from cafeteria.gateway.domain import ORDER_LIFETIME, KeyedOrder, Placing, as_received, order_body
from cafeteria.gateway.repository.rows import KEY_COLUMNS, ORDER_COLUMNS, keyed_order
from cafeteria.gateway.tables import IdempotencyKeyRow, OrderRow

# The order's lines and first state are read out of the PENDING answer, which holds them all: it is sent once.
# The foreign key is checked at the end of the statement, so the keys can go first and decide.
_RECEIVE = Statement("""
WITH placed AS (
    SELECT key, order_id, student_id, request_hash, snapshot,
        CAST(snapshot ->> 'created_at' AS timestamptz) AS created_at
    FROM unnest(
        CAST(:keys AS text[]), CAST(:order_ids AS uuid[]), CAST(:student_ids AS text[]),
        CAST(:request_hashes AS bytea[]), CAST(:snapshots AS jsonb[])
    ) AS placed (key, order_id, student_id, request_hash, snapshot)
), new_keys AS (
    INSERT INTO gateway.idempotency_keys (id, order_id, key, response_snapshot, created_at, request_hash)
    SELECT uuidv7(), order_id, key, snapshot, created_at, request_hash FROM placed
    ON CONFLICT (key) DO NOTHING
    RETURNING order_id
), new_orders AS (
    INSERT INTO gateway.orders (
        id, student_id, status, version, lines, status_times, created_at, updated_at, expires_at, next_ask_at
    )
    SELECT order_id, student_id, 'PENDING', 1, snapshot -> 'lines',
        jsonb_build_object('PENDING', snapshot -> 'created_at'), created_at, created_at,
        created_at + CAST(:lifetime AS interval), created_at + interval '2 seconds'
    FROM placed JOIN new_keys USING (order_id)
)
SELECT order_id FROM placed WHERE NOT EXISTS (SELECT FROM new_keys WHERE new_keys.order_id = placed.order_id)
""")

_FIND_BY_KEY = (
    sa.select(*ORDER_COLUMNS, *KEY_COLUMNS)
    .join(OrderRow, OrderRow.id == IdempotencyKeyRow.order_id)
    .where(IdempotencyKeyRow.key == sa.any_(sa.bindparam("keys", type_=ARRAY(sa.String))))
)


async def receive(connection: AsyncConnection, placings: Sequence[Placing]) -> set[UUID]:
    """Store what is new, in key order, in one statement.

    Returns the ids of the orders that were not made, mostly none: their keys are in use.
    """
    in_key_order = sorted(placings, key=lambda placing: placing.key)
    orders = [placing.order for placing in in_key_order]
    unmade = await _RECEIVE.rows(
        connection,
        {
            "keys": [placing.key for placing in in_key_order],
            "order_ids": [order.id for order in orders],
            "student_ids": [order.student_id for order in orders],
            "request_hashes": [placing.request_hash for placing in in_key_order],
            "snapshots": [order_body(as_received(order)).decode() for order in orders],
            "lifetime": ORDER_LIFETIME,
        },
    )
    return {row.order_id for row in unmade}


async def find_by_key(connection: AsyncConnection, keys: Sequence[str]) -> dict[str, KeyedOrder]:
    """What stands behind those of `keys` that are in use."""
    rows = await connection.execute(_FIND_BY_KEY, {"keys": list(keys)})
    return {row.key: keyed_order(row) for row in rows}
