"""Store idempotency keys, then PENDING orders for the new keys; read the orders of keys, and the usage of students."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import earliest_id
from cafeteria.gateway.answers import KeyedOrder, order_body
from cafeteria.gateway.domain import ORDER_LIFETIME, NewOrder, Placing, as_received, pending_order
from cafeteria.gateway.limits import HOUR_S, ORDERS_PER_DAY, USAGE_WINDOW, StoredUsages, Usage
from cafeteria.gateway.repository.rows import KEY_COLUMNS, ORDER_COLUMNS, keyed_order
from cafeteria.gateway.tables import IdempotencyKeyRow, OrderRow

# The order's lines are read out of the PENDING answer, which contains them, so they are sent once. The time is the
# server's, and the same for the whole batch. The foreign key is checked at the end of the statement, so the keys can
# be inserted first and decide which orders are new.
_RECEIVE = Statement("""
WITH clock AS (
    SELECT at, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS text
    FROM clock_timestamp() AS at
), placed AS (
    SELECT key, order_id, student_id, request_hash, snapshot, traceparent
    FROM unnest(
        CAST(:keys AS text[]), CAST(:order_ids AS uuid[]), CAST(:student_ids AS text[]),
        CAST(:request_hashes AS bytea[]), CAST(:snapshots AS jsonb[]), CAST(:traceparents AS text[])
    ) AS placed (key, order_id, student_id, request_hash, snapshot, traceparent)
), new_keys AS (
    INSERT INTO gateway.idempotency_keys (id, order_id, key, response_snapshot, created_at, request_hash)
    SELECT uuidv7(), order_id, key,
        snapshot || jsonb_build_object('created_at', (SELECT text FROM clock)), (SELECT at FROM clock),
        request_hash
    FROM placed
    ON CONFLICT (key) DO NOTHING
    RETURNING order_id
), new_orders AS (
    INSERT INTO gateway.orders (
        id, student_id, status, version, lines, status_times, created_at, updated_at, expires_at, next_ask_at,
        traceparent
    )
    SELECT order_id, student_id, 'PENDING', 1, snapshot -> 'lines', jsonb_build_object('PENDING', text), at, at,
        at + CAST(:lifetime AS interval), at + interval '2 seconds', traceparent
    FROM placed JOIN new_keys USING (order_id) CROSS JOIN clock
)
SELECT at, repeats.order_id FROM clock LEFT JOIN (
    SELECT order_id FROM placed WHERE NOT EXISTS (SELECT FROM new_keys WHERE new_keys.order_id = placed.order_id)
) AS repeats ON true
""")

# One snapshot: an order counts for its student if and only if its key is in use. Only `ix_orders_student_id_id`
# fits the pairs that limit the read: by the primary key Postgres would read the day of all students. An index of open
# orders would cost a write in each state.
_READ_USAGES = Statement("""
WITH usages AS (
    SELECT student_id, count(*) AS orders,
        count(*) FILTER (WHERE status IN ('PENDING', 'STOCK_VERIFIED', 'IN_KITCHEN')) AS open_orders,
        coalesce(
            json_agg(json_build_object('age_s', age_s, 'lines', lines))
                FILTER (WHERE age_s < CAST(:hour_s AS float8) AND status NOT IN ('REJECTED', 'CANCELLED')),
            '[]'
        ) AS recent
    FROM (SELECT DISTINCT unnest(CAST(:student_ids AS text[])) AS student_id) AS asked
    CROSS JOIN LATERAL (
        SELECT status, lines, extract(epoch FROM clock_timestamp() - created_at) AS age_s
        FROM gateway.orders
        WHERE (orders.student_id, orders.id) >= (asked.student_id, CAST(:since AS uuid))
            AND (orders.student_id, orders.id) <= (asked.student_id, CAST(repeat('f', 32) AS uuid))
        LIMIT CAST(:orders_per_day AS int)
    ) AS latest
    GROUP BY student_id
)
SELECT ARRAY(
        SELECT key FROM gateway.idempotency_keys WHERE key = ANY(CAST(:keys AS text[]))
    ) AS used_keys,
    CAST((SELECT coalesce(json_agg(usages), '[]') FROM usages) AS text) AS usages
""")

_FIND_BY_KEY = (
    sa.select(*ORDER_COLUMNS, *KEY_COLUMNS)
    .join(OrderRow, OrderRow.id == IdempotencyKeyRow.order_id)
    .where(IdempotencyKeyRow.key == sa.any_(sa.bindparam("keys", type_=ARRAY(sa.String))))
)

_USAGES = msgspec.json.Decoder(tuple[Usage, ...])
_NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """`at` is when the batch was stored, by the database's clock: `created_at` of all its orders.

    `repeats` are the ids of the orders that were not stored, usually none: their keys are in use.
    """

    at: datetime
    repeats: frozenset[UUID]


async def read_usages(connection: AsyncConnection, placings: Sequence[Placing]) -> StoredUsages:
    """Return the usage of the requests' students within USAGE_WINDOW; a student without orders is left out."""
    [row] = await _READ_USAGES.rows(
        connection,
        {
            "keys": [placing.key for placing in placings],
            "student_ids": [placing.order.student_id for placing in placings],
            "since": earliest_id(now() - USAGE_WINDOW),
            "hour_s": HOUR_S,
            "orders_per_day": ORDERS_PER_DAY,
        },
    )
    usages = _USAGES.decode(row.usages)
    return StoredUsages(
        used_keys=frozenset(row.used_keys), usages={usage.student_id: usage for usage in usages}
    )


async def receive(connection: AsyncConnection, placings: Sequence[Placing]) -> Received:
    """Store the orders whose keys are new, in key order, in one statement."""
    in_key_order = sorted(placings, key=lambda placing: placing.key)
    orders = [placing.order for placing in in_key_order]
    rows = await _RECEIVE.rows(
        connection,
        {
            "keys": [placing.key for placing in in_key_order],
            "order_ids": [order.id for order in orders],
            "student_ids": [order.student_id for order in orders],
            "request_hashes": [placing.request_hash for placing in in_key_order],
            "snapshots": [_undated(order) for order in orders],
            "traceparents": [order.traceparent for order in orders],
            "lifetime": ORDER_LIFETIME,
        },
    )
    return Received(at=rows[0].at, repeats=frozenset(row.order_id for row in rows if row.order_id))


def _undated(order: NewOrder) -> str:
    """Return the PENDING answer, except that the statement sets `created_at`."""
    return order_body(as_received(pending_order(order, at=_NO_DATE))).decode()


async def find_by_key(connection: AsyncConnection, keys: Sequence[str]) -> dict[str, KeyedOrder]:
    """Return the orders of those `keys` that are in use."""
    rows = await connection.execute(_FIND_BY_KEY, {"keys": list(keys)})
    return {row.key: keyed_order(row) for row in rows}
