"""SQL of the decisions: a batch is one read and one write, and the write takes effect whole or not at all."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Row, Statement
from cafeteria.contracts.stock import Decision
from cafeteria.contracts.values import RejectionReason
from cafeteria.stock.domain import Changes, DecidedLine, Reservation, StoredItem
from cafeteria.stock.repository.items import to_item

_encode_lines = msgspec.json.Encoder().encode
_decode_lines = msgspec.json.Decoder(tuple[DecidedLine, ...]).decode

_WANTED_ITEMS = """
    SELECT unnest(CAST(:item_ids AS uuid[]))
    UNION SELECT item_id FROM stock.stock_transactions WHERE order_id = ANY(CAST(:released_ids AS uuid[]))
"""
"""The items whose quantity a batch may change: those of its reserve requests, and those that its releases give back."""

_LOCK_ITEMS = Statement(f"""
SELECT item_id FROM stock.inventory WHERE item_id IN ({_WANTED_ITEMS}) ORDER BY item_id FOR UPDATE
""")  # noqa: S608 - put together from constants of this module

_READ = Statement(f"""
SELECT items.id, name, price, on_sale, quantity, version, NULL AS decision, NULL AS reason, NULL AS lines,
    CAST(NULL AS timestamptz) AS decided_at, CAST(NULL AS timestamptz) AS released_at
FROM stock.items JOIN stock.inventory ON inventory.item_id = items.id
WHERE items.id IN ({_WANTED_ITEMS})
UNION ALL
SELECT order_id, NULL, NULL, NULL, NULL, NULL, decision, reason, CAST(lines AS text), decided_at, released_at
FROM stock.reservations WHERE order_id = ANY(CAST(:order_ids AS uuid[]))
""")  # noqa: S608 - put together from constants of this module
"""Reads items and earlier decisions from one snapshot."""

_WRITE = Statement("""
WITH locked AS (
    SELECT inventory.item_id FROM stock.inventory
    JOIN unnest(CAST(:item_ids AS uuid[]), CAST(:versions AS int[])) AS seen (item_id, version)
        ON inventory.item_id = seen.item_id AND inventory.version = seen.version
    ORDER BY inventory.item_id FOR UPDATE OF inventory
), version_check AS (
    SELECT (SELECT count(*) FROM locked) = cardinality(CAST(:item_ids AS uuid[])) AS passed
), decided AS (
    INSERT INTO stock.reservations (order_id, decision, reason, lines, released_at, decided_at)
    SELECT fresh.*, CAST(:now AS timestamptz) FROM unnest(CAST(:order_ids AS uuid[]),
        CAST(:decisions AS text[]), CAST(:reasons AS text[]), CAST(:lines AS jsonb[]),
        CAST(:released_ats AS timestamptz[])) AS fresh
    WHERE (SELECT passed FROM version_check)
    ON CONFLICT (order_id) DO NOTHING RETURNING order_id
), old AS (
    SELECT order_id FROM stock.reservations
    WHERE order_id = ANY(CAST(:released_ids AS uuid[])) AND released_at IS NULL
        AND (SELECT passed FROM version_check) AND (SELECT count(*) FROM decided) >= 0
    ORDER BY order_id FOR UPDATE
), released AS (
    UPDATE stock.reservations SET released_at = CAST(:now AS timestamptz) FROM old
    WHERE reservations.order_id = old.order_id RETURNING old.order_id
), ledger_rows AS (
    INSERT INTO stock.stock_transactions (id, order_id, item_id, quantity_deducted, kind, created_at)
    SELECT uuidv7(), entry.*, CAST(:now AS timestamptz) FROM unnest(CAST(:entry_order_ids AS uuid[]), CAST(:entry_item_ids AS uuid[]),
        CAST(:entry_quantities AS int[]), CAST(:entry_kinds AS text[])) AS entry
    WHERE (SELECT passed FROM version_check)
), updated AS (
    UPDATE stock.inventory SET quantity = later.quantity, version = inventory.version + 1,
        updated_at = CAST(:now AS timestamptz)
    FROM unnest(CAST(:item_ids AS uuid[]), CAST(:quantities AS int[])) AS later (item_id, quantity)
    WHERE inventory.item_id = later.item_id AND (SELECT passed FROM version_check)
)
SELECT CASE
    WHEN NOT passed THEN false
    WHEN (SELECT count(*) FROM decided) = cardinality(CAST(:order_ids AS uuid[]))
        AND (SELECT count(*) FROM released) = cardinality(CAST(:released_ids AS uuid[])) THEN true
    ELSE (SELECT 1 / count(*) FROM locked WHERE false) > 0
END AS is_whole FROM version_check
""")
"""Writes a batch whole or not at all, so it needs no transaction around it. It locks the rows and checks the versions
first: unless all match, it returns false and writes nothing. When another replica has stored one of the decisions or
releases, it divides by zero, which undoes all its writes."""


class BatchMoved(Exception):
    """Another replica changed an item's version or stored a decision between the read and the write."""


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """The ids that a batch names. `released_ids` is the part of `order_ids` that the batch releases."""

    order_ids: list[UUID]
    item_ids: list[UUID]
    released_ids: list[UUID]


async def lock_items(connection: AsyncConnection, named: Named) -> None:
    """Lock the items, so that no other transaction changes them before this one ends."""
    await _LOCK_ITEMS.rows(connection, {"item_ids": named.item_ids, "released_ids": named.released_ids})


async def read_shelf(connection: AsyncConnection, named: Named) -> tuple[list[StoredItem], list[Reservation]]:
    rows = await _READ.rows(connection, msgspec.structs.asdict(named))
    return (
        [to_item(row) for row in rows if row.decision is None],
        [_reservation(row) for row in rows if row.decision is not None],
    )


async def write_changes(connection: AsyncConnection, changes: Changes, *, now: datetime) -> None:
    """Write a batch. Raises BatchMoved, having written nothing, when the rows that it read have changed."""
    try:
        [written] = await _WRITE.rows(connection, _write_parameters(changes, now=now))
    except asyncpg.DivisionByZeroError as error:
        raise BatchMoved from error
    if not written.is_whole:
        raise BatchMoved


def _write_parameters(changes: Changes, *, now: datetime) -> dict[str, Any]:
    decided, ledger, items = changes.decided, changes.ledger, changes.items
    return {
        "now": now,
        "order_ids": [each.order_id for each in decided],
        "decisions": [each.decision.value for each in decided],
        "reasons": [each.reason and each.reason.value for each in decided],
        "lines": [_encode_lines(each.lines).decode() for each in decided],
        "released_ats": [each.released_at for each in decided],
        "entry_order_ids": [each.order_id for each in ledger],
        "entry_item_ids": [each.item_id for each in ledger],
        "entry_quantities": [each.quantity_deducted for each in ledger],
        "entry_kinds": [each.kind.value for each in ledger],
        "released_ids": list(changes.released),
        "item_ids": [each.id for each in items],
        "versions": [each.version - 1 for each in items],
        "quantities": [each.quantity for each in items],
    }


def _reservation(row: Row) -> Reservation:
    return Reservation(
        order_id=row.id,
        decision=Decision(row.decision),
        reason=RejectionReason(row.reason) if row.reason else None,
        lines=_decode_lines(row.lines),
        decided_at=row.decided_at,
        released_at=row.released_at,
    )
