"""Claim PENDING orders that are due for a retry, by a partial index, in batches.

A claim skips rows that another replica has claimed and sets their next time, so no lock is held during a request to
stock. The database's clock decides which orders are due and how old they are.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.chassis.messaging.reconciliation import back_off
from cafeteria.gateway.domain import StoredOrder
from cafeteria.gateway.repository.rows import RETURNED, stored_order

# PENDING has not been published while the order has no time for a delivery check and notification is not known to
# have it.
_CLAIM = Statement(f"""
WITH due AS (
    SELECT id, next_check_at IS NULL AND notified_version = 0 AS is_unpublished FROM gateway.orders
    WHERE next_ask_at <= now() AND status = 'PENDING'
    ORDER BY next_ask_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
UPDATE gateway.orders AS o
SET next_ask_at = now() + {back_off(since="o.created_at")},
    next_check_at = CASE WHEN due.is_unpublished THEN now() + interval '5 seconds'
        ELSE o.next_check_at END
FROM due WHERE o.id = due.id
RETURNING {RETURNED}, due.is_unpublished
""")  # noqa: S608 - put together from constants


async def claim_pending(connection: AsyncConnection, *, limit: int) -> list[tuple[StoredOrder, bool]]:
    """Claim PENDING orders that are due for a retry; True beside those whose PENDING is not published yet."""
    rows = await _CLAIM.rows(connection, {"limit": limit})
    return [(stored_order(row), row.is_unpublished) for row in rows]
