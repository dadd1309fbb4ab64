"""A snapshot of all stored data: a superuser reads the five schemas in one repeatable-read transaction."""

from collections import defaultdict
from uuid import UUID

import asyncpg
import msgspec


class StoredItem(msgspec.Struct, frozen=True, kw_only=True):
    item_id: UUID
    name: str
    quantity: int
    restocked: int
    deducted: int


class StoredOrder(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    student_id: str
    status: str
    version: int
    reason: str | None
    lines: dict[UUID, int]
    released: bool
    key: str | None
    response_status: int | None
    response_body: bytes | None


class StoredDecision(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    decision: str
    reason: str | None
    released: bool


class StoredTicket(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    student_id: str
    status: str
    history: tuple[str, ...]


class StoredNotification(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    student_id: str
    status: str
    version: int
    position: int


class StoredLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter: `item` is its place in the message, WHOLE_MESSAGE where that has no list of items."""

    subject: str
    message_id: str | None
    item: int
    body: bytes
    error: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[StoredItem, ...]
    orders: dict[UUID, StoredOrder]
    decisions: dict[UUID, StoredDecision]
    taken: dict[UUID, dict[UUID, int]]
    """By order and item: portions that the ledger deducted, less those it returned."""
    tickets: tuple[StoredTicket, ...]
    notifications: tuple[StoredNotification, ...]
    outbox_rows: int
    dead_letters: tuple[StoredLetter, ...]
    on_the_way: tuple[str, ...] = ()
    """Sentences about messages that the bus has not delivered yet, which the database does not show."""


_ITEMS = """
    SELECT i.id AS item_id, i.name, v.quantity,
           (SELECT coalesce(sum(quantity), 0) FROM stock.restocks r WHERE r.item_id = i.id) AS restocked,
           (SELECT coalesce(sum(quantity_deducted), 0)
            FROM stock.stock_transactions t WHERE t.item_id = i.id) AS deducted
    FROM stock.items i JOIN stock.inventory v ON v.item_id = i.id"""
_ORDERS = """
    SELECT o.id AS order_id, o.student_id, o.status, o.version, o.rejection_reason AS reason, o.lines,
           o.released_at IS NOT NULL AS released,
           k.key, k.response_status, k.response_body
    FROM gateway.orders o LEFT JOIN gateway.idempotency_keys k ON k.order_id = o.id"""
_DECISIONS = "SELECT order_id, decision, reason, released_at IS NOT NULL AS released FROM stock.reservations"
_TAKEN = """
    SELECT order_id, item_id, sum(quantity_deducted) AS taken
    FROM stock.stock_transactions GROUP BY order_id, item_id"""
_TICKETS = """
    SELECT t.order_id, t.student_id, t.status,
           array_remove(array_agg(h.status ORDER BY h.changed_at, h.id), NULL) AS history
    FROM kitchen.kitchen_orders t LEFT JOIN kitchen.order_status_history h ON h.kitchen_order_id = t.id
    GROUP BY t.id"""
_NOTIFICATIONS = """
    SELECT order_id, student_id, status_sent AS status, version, position FROM notification.notifications"""
_OUTBOX = "SELECT (SELECT count(*) FROM gateway.outbox) + (SELECT count(*) FROM kitchen.outbox)"
_DEAD = """
    SELECT subject, message_id, item, body, error FROM gateway.dead_letters
    UNION ALL SELECT subject, message_id, item, body, error FROM kitchen.dead_letters
    UNION ALL SELECT subject, message_id, item, body, error FROM notification.dead_letters"""


async def read_snapshot(connection: asyncpg.Connection) -> Snapshot:
    """Read the snapshot; `connection` must have access to all five schemas."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return Snapshot(
            items=tuple(msgspec.convert(dict(row), StoredItem) for row in await connection.fetch(_ITEMS)),
            orders={row["order_id"]: _order(row) for row in await connection.fetch(_ORDERS)},
            decisions={row["order_id"]: StoredDecision(**row) for row in await connection.fetch(_DECISIONS)},
            taken=_taken(await connection.fetch(_TAKEN)),
            tickets=tuple(
                msgspec.convert(dict(row), StoredTicket) for row in await connection.fetch(_TICKETS)
            ),
            notifications=tuple(StoredNotification(**row) for row in await connection.fetch(_NOTIFICATIONS)),
            outbox_rows=await connection.fetchval(_OUTBOX),
            dead_letters=tuple(StoredLetter(**row) for row in await connection.fetch(_DEAD)),
        )


class _Line(msgspec.Struct):
    item_id: UUID
    quantity: int


def _order(row: asyncpg.Record) -> StoredOrder:
    lines = msgspec.json.decode(row["lines"], type=list[_Line])
    return StoredOrder(**{**row, "lines": {line.item_id: line.quantity for line in lines}})


def _taken(rows: list[asyncpg.Record]) -> dict[UUID, dict[UUID, int]]:
    taken: defaultdict[UUID, dict[UUID, int]] = defaultdict(dict)
    for row in rows:
        taken[row["order_id"]][row["item_id"]] = row["taken"]
    return dict(taken)
