"""All SQL of stock. A batch is one read and one write, and the write takes effect whole or not at all.

Every statement locks rows in one order: inventory by item, new reservations by order, old reservations by
order. So two replicas wait for each other, but never in a circle.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.stock import Decision, StockTransaction, TransactionKind
from cafeteria.contracts.values import RejectionReason
from cafeteria.stock.domain import (
    MAX_QUANTITY,
    Answer,
    Changes,
    DecidedLine,
    Operation,
    Reservation,
    StoredItem,
)
from cafeteria.stock.errors import IdempotencyKeyReused
from cafeteria.stock.tables import InventoryRow, ItemRow, OperationRow, RestockRow, StockTransactionRow

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

_DELETE_OLD_OPERATIONS = Statement("""
DELETE FROM stock.operations WHERE key IN (
    SELECT key FROM stock.operations WHERE created_at < CAST(:before AS timestamptz)
    ORDER BY created_at LIMIT CAST(:limit AS integer) FOR UPDATE SKIP LOCKED)
RETURNING 1
""")

_ITEM_COLUMNS = (
    ItemRow.id,
    ItemRow.name,
    ItemRow.price,
    ItemRow.on_sale,
    InventoryRow.quantity,
    InventoryRow.version,
)
_SELECT_ITEMS = select(*_ITEM_COLUMNS).join(InventoryRow, InventoryRow.item_id == ItemRow.id)


class BatchMoved(Exception):
    """Another replica changed an item's version or stored a decision between the read and the write."""


class KeyTaken(Exception):
    """Another request with the same key was faster: the transaction of this request must be rolled back."""


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
        [_item(row) for row in rows if row.decision is None],
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


async def list_items(connection: AsyncConnection) -> list[StoredItem]:
    """Return every item, by name."""
    rows = await connection.execute(_SELECT_ITEMS.order_by(ItemRow.name, ItemRow.id))
    return [_item(row) for row in rows]


async def find_item(connection: AsyncConnection, item_id: UUID) -> StoredItem | None:
    row = (await connection.execute(_SELECT_ITEMS.where(ItemRow.id == item_id))).one_or_none()
    return row and _item(row)


async def insert_item(connection: AsyncConnection, item: StoredItem, *, actor: str, now: datetime) -> None:
    """The item, its shelf, and its first restock: without it the ledger would not add up."""
    await connection.execute(
        insert(ItemRow).values(
            id=item.id, name=item.name, price=item.price, on_sale=item.on_sale, created_at=now
        )
    )
    await connection.execute(
        insert(InventoryRow).values(
            id=new_id(), item_id=item.id, quantity=item.quantity, version=item.version, updated_at=now
        )
    )
    await _insert_restock(connection, item.id, quantity=item.quantity, actor=actor, now=now)


async def change_item(
    connection: AsyncConnection, item_id: UUID, *, values: dict[str, Any], now: datetime
) -> StoredItem | None:
    """Return the changed item, or None when there is none.

    It updates the inventory row first, which puts all changes of an item in one order.
    """
    if not await _raise_version(connection, item_id, now=now):
        return None
    if values:
        await connection.execute(update(ItemRow).where(ItemRow.id == item_id).values(**values))
    return await find_item(connection, item_id)


async def add_portions(
    connection: AsyncConnection, item_id: UUID, *, quantity: int, actor: str, now: datetime
) -> StoredItem | None:
    """Return the changed item, or None when there is none or its store is full; then nothing is added."""
    if not await _raise_version(connection, item_id, added=quantity, now=now):
        return None
    await _insert_restock(connection, item_id, quantity=quantity, actor=actor, now=now)
    return await find_item(connection, item_id)


async def _raise_version(
    connection: AsyncConnection, item_id: UUID, *, now: datetime, added: int = 0
) -> bool:
    raised = update(InventoryRow).where(InventoryRow.item_id == item_id)
    if added:
        raised = raised.where(InventoryRow.quantity <= MAX_QUANTITY - added)
    result = await connection.execute(
        raised.values(
            quantity=InventoryRow.quantity + added, version=InventoryRow.version + 1, updated_at=now
        )
    )
    return result.rowcount == 1


async def _insert_restock(
    connection: AsyncConnection, item_id: UUID, *, quantity: int, actor: str, now: datetime
) -> None:
    await connection.execute(
        insert(RestockRow).values(
            id=new_id(), item_id=item_id, quantity=quantity, actor=actor, created_at=now
        )
    )


async def find_answer(connection: AsyncConnection, operation: Operation) -> Answer | None:
    """Return the stored answer, if any. Raises IdempotencyKeyReused when the key belongs to another request."""
    found = await connection.execute(select(OperationRow.__table__).where(OperationRow.key == operation.key))
    row = found.one_or_none()
    if row is None:
        return None
    if row.request_hash != operation.request_hash:
        raise IdempotencyKeyReused
    return Answer(status=row.response_status, body=row.response_body, is_replay=True)


async def store_answer(
    connection: AsyncConnection, operation: Operation, answer: Answer, *, now: datetime
) -> None:
    """Store the answer in the transaction of its change.

    It waits for another transaction with the same key, and raises KeyTaken if that one commits.
    """
    stored = await connection.execute(
        upsert(OperationRow)
        .values(
            key=operation.key,
            request_hash=operation.request_hash,
            response_status=answer.status,
            response_body=answer.body,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(OperationRow.key)
    )
    if stored.one_or_none() is None:
        raise KeyTaken


async def delete_old_operations(connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Return how many rows were deleted; fewer than `limit` means that none are left."""
    return len(await _DELETE_OLD_OPERATIONS.rows(connection, {"before": before, "limit": limit}))


async def list_transactions(
    connection: AsyncConnection, item_id: UUID, *, before: UUID | None, limit: int
) -> list[tuple[UUID, StockTransaction]]:
    """Return ledger entries with their ids, newest first, beginning after the entry `before`."""
    query = select(StockTransactionRow.__table__).where(StockTransactionRow.item_id == item_id)
    if before is not None:
        query = query.where(StockTransactionRow.id < before)
    rows = await connection.execute(query.order_by(StockTransactionRow.id.desc()).limit(limit))
    return [(row.id, _transaction(row)) for row in rows]


def _item(row: Any) -> StoredItem:
    return StoredItem(
        id=row.id,
        name=row.name,
        price=row.price,
        on_sale=row.on_sale,
        quantity=row.quantity,
        version=row.version,
    )


def _reservation(row: Any) -> Reservation:
    return Reservation(
        order_id=row.id,
        decision=Decision(row.decision),
        reason=RejectionReason(row.reason) if row.reason else None,
        lines=_decode_lines(row.lines),
        decided_at=row.decided_at,
        released_at=row.released_at,
    )


def _transaction(row: Any) -> StockTransaction:
    return StockTransaction(
        order_id=row.order_id,
        item_id=row.item_id,
        quantity_deducted=row.quantity_deducted,
        kind=TransactionKind(row.kind),
        created_at=row.created_at,
    )
