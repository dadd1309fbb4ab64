"""The SQL of retry pending, reconcile delivery, release and purge. Each reads a partial index, in batches.

A claim skips rows that another replica has claimed and sets their next time, so no lock is held during a request to
a peer. The database's clock decides which orders are due and how old they are.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.stock import StockReleased
from cafeteria.contracts.values import OrderStatus
from cafeteria.gateway.domain import StoredOrder
from cafeteria.gateway.repository.rows import ORDER_COLUMNS, age_ms_of, stored_order
from cafeteria.gateway.tables import OrderRow, outbox

_UNIX_MILLISECONDS_SHIFT = 80  # a UUIDv7 opens with 48 bits of milliseconds

# Half of how long it has waited already, from one second to four.
_BACK_OFF = "LEAST(GREATEST((now() - {since}) / 2, interval '1 second'), interval '4 seconds')"

_RETURNED = f"""o.id, o.student_id, o.status, o.version, CAST(o.lines AS text) AS lines, o.total,
    o.rejection_reason, CAST(o.status_times AS text) AS status_times, o.created_at, o.expires_at,
    o.traceparent, {age_ms_of("o")} AS age_ms"""

# PENDING has not been published while the order has no time for a delivery check and notification is not known to
# have it.
_CLAIM_UNDECIDED = Statement(f"""
WITH due AS (
    SELECT id, next_check_at IS NULL AND notified_version = 0 AS is_unpublished FROM gateway.orders
    WHERE next_ask_at <= now() AND status = 'PENDING'
    ORDER BY next_ask_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
UPDATE gateway.orders AS o
SET next_ask_at = now() + {_BACK_OFF.format(since="o.created_at")},
    next_check_at = CASE WHEN due.is_unpublished THEN now() + interval '5 seconds'
        ELSE o.next_check_at END
FROM due WHERE o.id = due.id
RETURNING {_RETURNED}, due.is_unpublished
""")  # noqa: S608 - put together from constants

_CLAIM_UNRELEASED = Statement(f"""
WITH due AS (
    SELECT id FROM gateway.orders
    WHERE next_ask_at <= now() AND status = 'CANCELLED' AND released_at IS NULL
    ORDER BY next_ask_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
UPDATE gateway.orders AS o
SET next_ask_at = now() + {_BACK_OFF.format(since="o.updated_at")}
FROM due WHERE o.id = due.id
RETURNING o.id
""")  # noqa: S608 - put together from constants

_MARK_RELEASED = Statement("""
WITH answers AS (
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:released_ats AS timestamptz[])) AS answer (id, released_at)
), unreleased AS (
    SELECT o.id FROM gateway.orders AS o JOIN answers AS a ON a.id = o.id
    WHERE o.status = 'CANCELLED' AND o.released_at IS NULL ORDER BY o.id FOR UPDATE OF o
)
UPDATE gateway.orders AS o SET released_at = a.released_at, next_ask_at = NULL
FROM unreleased AS u JOIN answers AS a ON a.id = u.id
WHERE o.id = u.id
""")

_COUNT_PENDING = Statement("""
SELECT count(*) AS pending FROM (
    SELECT FROM gateway.orders WHERE next_ask_at IS NOT NULL AND status = 'PENDING' LIMIT :limit
) AS pending
""")

_FIND_UNCONFIRMED = (
    sa.select(
        OrderRow.id,
        OrderRow.status,
        OrderRow.kitchen_seen_at,
        OrderRow.notified_version,
        OrderRow.next_check_at,
    )
    .where(OrderRow.next_check_at <= sa.func.now())
    .where(~sa.exists().where(outbox.c.order_id == OrderRow.id))
    .order_by(OrderRow.next_check_at)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)

_FIND_ORDERS = sa.select(*ORDER_COLUMNS).where(
    OrderRow.id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.Uuid)))
)

# A finding counts only for the state that was checked. A later change of the order (a decision, another replica's
# finding) has set another time to check, and then this stores nothing and sends nothing.
_CONFIRM = Statement(f"""
WITH findings AS (
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:kitchen_knows AS boolean[]), CAST(:notified_versions AS smallint[]),
        CAST(:are_done AS boolean[]), CAST(:due_ats AS timestamptz[])
    ) AS finding (id, kitchen_knows, notified_version, is_done, due_at)
), due AS (
    SELECT o.id FROM gateway.orders AS o JOIN findings AS f ON f.id = o.id
    WHERE o.next_check_at = f.due_at ORDER BY o.id FOR UPDATE OF o
)
UPDATE gateway.orders AS o
SET kitchen_seen_at = CASE WHEN f.kitchen_knows THEN COALESCE(o.kitchen_seen_at, now()) ELSE o.kitchen_seen_at END,
    notified_version = GREATEST(o.notified_version, f.notified_version),
    next_check_at = CASE WHEN NOT f.is_done
        THEN now() + {_BACK_OFF.format(since="o.created_at")} END
FROM due AS d JOIN findings AS f ON f.id = d.id
WHERE o.id = d.id AND o.next_check_at = f.due_at
RETURNING o.id
""")  # noqa: S608 - put together from constants

_PURGE_KEYS = Statement("""
DELETE FROM gateway.idempotency_keys WHERE id IN (
    SELECT k.id FROM gateway.idempotency_keys AS k JOIN gateway.orders AS o ON o.id = k.order_id
    WHERE k.id < :before AND o.status IN ('REJECTED', 'CANCELLED', 'COLLECTED', 'READY')
    ORDER BY k.id LIMIT :limit FOR UPDATE OF k SKIP LOCKED
)
RETURNING id
""")


class Unconfirmed(msgspec.Struct, frozen=True, kw_only=True):
    """An order that some receiver is not known to have; `due_at` is another after every change of the order."""

    id: UUID
    status: OrderStatus
    is_known_to_kitchen: bool
    notified_version: int
    due_at: datetime


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The receivers' answers about one order; `is_done` if nothing is left to check."""

    order_id: UUID
    kitchen_knows: bool
    notified_version: int
    is_done: bool
    due_at: datetime


async def claim_undecided(connection: AsyncConnection, *, limit: int) -> list[tuple[StoredOrder, bool]]:
    """Claim PENDING orders that are due for a retry; True beside those whose PENDING is not published yet."""
    rows = await _CLAIM_UNDECIDED.rows(connection, {"limit": limit})
    return [(stored_order(row), row.is_unpublished) for row in rows]


async def claim_unreleased(connection: AsyncConnection, *, limit: int) -> list[UUID]:
    return [row.id for row in await _CLAIM_UNRELEASED.rows(connection, {"limit": limit})]


async def mark_released(connection: AsyncConnection, answers: Sequence[StockReleased]) -> None:
    await _MARK_RELEASED.rows(
        connection,
        {
            "ids": [answer.order_id for answer in answers],
            "released_ats": [answer.released_at for answer in answers],
        },
    )


async def count_pending(connection: AsyncConnection, *, limit: int) -> int:
    """Counts no further than `limit`."""
    [counted] = await _COUNT_PENDING.rows(connection, {"limit": limit})
    return int(counted.pending)


async def find_unconfirmed(connection: AsyncConnection, *, limit: int) -> list[Unconfirmed]:
    """Orders due for a delivery check that have no message in the outbox."""
    rows = await connection.execute(_FIND_UNCONFIRMED, {"limit": limit})
    return [
        Unconfirmed(
            id=row.id,
            status=OrderStatus(row.status),
            is_known_to_kitchen=row.kitchen_seen_at is not None,
            notified_version=row.notified_version,
            due_at=row.next_check_at,
        )
        for row in rows
    ]


async def find_orders(connection: AsyncConnection, order_ids: Sequence[UUID]) -> dict[UUID, StoredOrder]:
    rows = await connection.execute(_FIND_ORDERS, {"ids": list(order_ids)})
    return {row.id: stored_order(row) for row in rows}


async def confirm(connection: AsyncConnection, findings: Sequence[Finding]) -> set[UUID]:
    """Store the findings; return the orders that have not changed since `find_unconfirmed` read them."""
    confirmed = await _CONFIRM.rows(
        connection,
        {
            "ids": [finding.order_id for finding in findings],
            "kitchen_knows": [finding.kitchen_knows for finding in findings],
            "notified_versions": [finding.notified_version for finding in findings],
            "are_done": [finding.is_done for finding in findings],
            "due_ats": [finding.due_at for finding in findings],
        },
    )
    return {row.id for row in confirmed}


async def forget_keys(connection: AsyncConnection, *, made_before: datetime, limit: int) -> int:
    """Delete keys whose order has ended or is READY; return how many. Their ids (UUIDv7) hold their creation times."""
    before = UUID(int=int(made_before.timestamp() * 1000) << _UNIX_MILLISECONDS_SHIFT)
    return len(await _PURGE_KEYS.rows(connection, {"before": before, "limit": limit}))
