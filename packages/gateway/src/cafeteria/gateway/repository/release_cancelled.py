"""Claim CANCELLED orders whose portions are not back yet, in batches, and store when stock released them.

A claim skips rows that another replica has claimed and sets their next time, so no lock is held during a request to
stock.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.chassis.messaging.reconciliation import back_off
from cafeteria.contracts.stock import StockReleased

_CLAIM = Statement(f"""
WITH due AS (
    SELECT id FROM gateway.orders
    WHERE next_ask_at <= now() AND status = 'CANCELLED' AND released_at IS NULL
    ORDER BY next_ask_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
UPDATE gateway.orders AS o
SET next_ask_at = now() + {back_off(since="o.updated_at")}
FROM due WHERE o.id = due.id
RETURNING o.id
""")  # noqa: S608 - put together from constants

_MARK = Statement("""
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


async def claim_unreleased(connection: AsyncConnection, *, limit: int) -> list[UUID]:
    return [row.id for row in await _CLAIM.rows(connection, {"limit": limit})]


async def mark_released(connection: AsyncConnection, answers: Sequence[StockReleased]) -> None:
    await _MARK.rows(
        connection,
        {
            "ids": [answer.order_id for answer in answers],
            "released_ats": [answer.released_at for answer in answers],
        },
    )
