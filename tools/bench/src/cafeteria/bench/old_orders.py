"""Old orders, inserted by SQL: decided, cooked, notified and reconciled, in the state in which the services leave them.

Ids begin with the time of the order, so they sort before all later ids. All orders have the same status times; rows have
the size of real ones.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg
import msgspec

from cafeteria.provisioning.administrator import connected

SPREAD = timedelta(days=300)
PRICE = "120.00"
STATUSES = ("PENDING", "STOCK_VERIFIED", "IN_KITCHEN", "READY")


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """The number of orders, their students and items; the newest is a day older than `now`."""

    orders: int
    students: Sequence[str]
    items: Sequence[str]
    now: datetime


async def load(url: str, past: Past) -> None:
    """Fill empty tables, two at a time; restocks of the sold portions balance the ledger.

    Indexes are built afterwards, which takes a fraction of the time of updating them row by row.
    """
    async with connected(url) as connection:
        keys = await connection.fetch(_KEYS, list(_TABLES))
        indexes = await connection.fetch(_INDEXES, list(_TABLES))
        for key in reversed(keys):
            await connection.execute(f"ALTER TABLE {key['owner']} DROP CONSTRAINT {key['name']}")
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['name']}")
        await _prepare(connection, past)
        await _run_in_parallel(url, list(_TABLES.values()))
        await _run_in_parallel(url, [index["definition"] for index in indexes])
        for key in keys:
            await connection.execute(
                f"ALTER TABLE {key['owner']} ADD CONSTRAINT {key['name']} {key['definition']}"
            )
        await connection.execute(_BALANCE)
        await connection.execute(_COUNT_POSITIONS, past.orders * len(STATUSES))
        await connection.execute("DROP SCHEMA past CASCADE")


async def _prepare(connection: asyncpg.Connection, past: Past) -> None:
    """Create the view that the statements read: one computed row for each order."""
    began_at = past.now - timedelta(days=1) - SPREAD
    milliseconds = int(SPREAD.total_seconds() * 1000)
    await connection.execute(_SCHEMA)
    await connection.execute(
        "INSERT INTO past.students SELECT row - 1, id FROM unnest($1::text[]) WITH ORDINALITY AS s (id, row)",
        list(past.students),
    )
    await connection.execute(
        "INSERT INTO past.items SELECT row - 1, id FROM unnest($1::uuid[]) WITH ORDINALITY AS i (id, row)",
        list(past.items),
    )
    await connection.execute(
        _ORDERS_VIEW.format(
            last=past.orders - 1,
            step=f"{milliseconds / max(1, past.orders):.6f}",
            began_ms=int(began_at.timestamp() * 1000),
            students=len(past.students),
            items=len(past.items),
        )
    )


async def _run_in_parallel(url: str, statements: list[str], *, workers: int = 2) -> None:
    waiting = iter(statements)

    async def work() -> None:
        async with connected(url) as connection:
            await connection.execute("SET maintenance_work_mem = '1GB'")
            for statement in waiting:
                await connection.execute(statement)

    await asyncio.gather(*(work() for _ in range(workers)))


_KEYS = """
SELECT conrelid::regclass::text AS owner, quote_ident(conname) AS name, pg_get_constraintdef(oid) AS definition
FROM pg_constraint
WHERE (conrelid = ANY(CAST($1 AS regclass[])) OR confrelid = ANY(CAST($1 AS regclass[]))) AND contype IN ('p', 'u', 'f')
ORDER BY contype = 'f', contype = 'u', conname
"""
"""Primary keys come first, then unique constraints, then the foreign keys that refer to them."""

_INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
WHERE indrelid = ANY(CAST($1 AS regclass[]))
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))
"""

_SCHEMA = """
CREATE SCHEMA past;
CREATE TABLE past.students (number bigint, id text);
CREATE TABLE past.items (number bigint, id uuid);
CREATE FUNCTION past.id(ms bigint, part int, number bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$
    SELECT CAST(lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex(part), 3, '0')
        || '8' || lpad(to_hex(number), 15, '0') AS uuid)
$$
"""
"""An id is a UUIDv7 of that time; `part` distinguishes the ids of one order."""

_ORDERS_VIEW = f"""
CREATE VIEW past.orders AS
SELECT numbered.number, ms, past.id(ms, 0, numbered.number) AS id, to_timestamp(ms / 1000.0) AS at, student.id AS student_id, item.id AS item_id,
    CAST('[{{{{"item_id": "' || item.id || '", "name": "Chicken Biryani", "quantity": 1, "unit_price": "{PRICE}"}}}}]' AS jsonb) AS lines
FROM (
    SELECT number, {{began_ms}} + CAST(floor(number * {{step}}) AS bigint) AS ms FROM generate_series(0, {{last}}) AS number
) AS numbered
JOIN past.students AS student ON student.number = numbered.number % {{students}}
JOIN past.items AS item ON item.number = numbered.number * 7 % {{items}}
"""  # noqa: S608 - assembled from constants

_WHEN = "2025-03-01T17:58:03.123456Z"
_TIMES_BY_STATUS = "{" + ", ".join(f'"{status}": "{_WHEN}"' for status in STATUSES) + "}"
_TIMES_IN_ORDER = (
    "["
    + ", ".join(
        f'{{"status": "{status}", "version": {version}, "at": "{_WHEN}"}}'
        for version, status in enumerate(STATUSES, start=1)
    )
    + "]"
)
_PLACED_STATUSES = ", ".join(f"({place}, '{status}')" for place, status in enumerate(STATUSES))

_TABLES = {
    "notification.notifications": f"""
        INSERT INTO notification.notifications
            (id, order_id, student_id, status_sent, sent_at, version, position, status_at, delivered_at)
        SELECT past.id(ms, 1 + place, number), id, student_id, status, at, place + 1, number * {len(STATUSES)} + place + 1, at, at
        FROM past.orders, (VALUES {_PLACED_STATUSES}) AS entered (place, status)
    """,  # noqa: S608 - assembled from constants
    "kitchen.kitchen_orders": f"""
        INSERT INTO kitchen.kitchen_orders
            (id, order_id, student_id, status, version, lines, status_times, received_at, started_at, due_at, completed_at,
            gateway_version, notified_version)
        SELECT past.id(ms, 5, number), id, student_id, 'READY', 4, lines, '{_TIMES_IN_ORDER}', at, at, at, at, 4, 4 FROM past.orders
    """,  # noqa: S608 - assembled from constants
    "gateway.orders": f"""
        INSERT INTO gateway.orders
            (id, student_id, status, created_at, updated_at, lines, total, version, expires_at, status_times, kitchen_seen_at,
            notified_version)
        SELECT id, student_id, 'READY', at, at, lines, {PRICE}, 4, at, '{_TIMES_BY_STATUS}', at, 2 FROM past.orders
    """,  # noqa: S608 - assembled from constants
    "kitchen.order_status_history": """
        INSERT INTO kitchen.order_status_history (id, kitchen_order_id, status, changed_at)
        SELECT past.id(ms, 6 + place, number), past.id(ms, 5, number), status, at
        FROM past.orders, (VALUES (0, 'IN_KITCHEN'), (1, 'READY')) AS entered (place, status)
    """,
    "stock.reservations": """
        INSERT INTO stock.reservations (order_id, decision, lines, decided_at) SELECT id, 'RESERVED', lines, at FROM past.orders
    """,
    "stock.stock_transactions": """
        INSERT INTO stock.stock_transactions (id, order_id, item_id, quantity_deducted, created_at, kind)
        SELECT past.id(ms, 8, number), id, item_id, 1, at, 'DEDUCT' FROM past.orders
    """,
}

_BALANCE = """
UPDATE stock.restocks SET quantity = quantity + taken FROM (
    SELECT item_id, sum(quantity_deducted) AS taken FROM stock.stock_transactions GROUP BY item_id
) AS ledger WHERE ledger.item_id = restocks.item_id
"""

_COUNT_POSITIONS = """
INSERT INTO notification.position_counter VALUES (1, $1, '', 0) ON CONFLICT (id) DO UPDATE SET position = $1
"""
