"""SQL of finding a ticket by its number or code: both are remainders of its sequence number."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.kitchen import Ticket
from cafeteria.kitchen.repository.rows import TICKET_VIEW, to_view

_KEY = Statement("SELECT key FROM kitchen.pickup_key")

# One sequence number in each period has the remainder; the newest is at most one period below the last number given out.
# A number that was given to no ticket leaves a gap, so earlier periods are tried too.
_NEWEST = Statement(f"""
WITH latest AS (SELECT max(number) AS number FROM kitchen.kitchen_orders), candidate AS (
    SELECT generate_series(
        latest.number - mod(mod(latest.number - CAST(:remainder AS bigint), CAST(:period AS bigint))
            + CAST(:period AS bigint), CAST(:period AS bigint)),
        latest.number - CAST(:within AS bigint), - CAST(:period AS bigint)) AS number FROM latest
)
SELECT {TICKET_VIEW} FROM kitchen.kitchen_orders
WHERE number = ANY(ARRAY(SELECT number FROM candidate)) AND id >= CAST(:since AS uuid) ORDER BY number DESC LIMIT 1
""")  # noqa: S608 - put together from constants


async def read_key(connection: AsyncConnection) -> bytes:
    """Return the key of the pickup codes."""
    [row] = await _KEY.rows(connection, {})
    return bytes(row.key)


async def read_newest(
    connection: AsyncConnection, *, remainder: int, period: int, within: int, since: UUID
) -> Ticket | None:
    """Return the newest ticket from `since` on whose sequence number has this remainder.

    It looks at the last `within` sequence numbers.
    """
    parameters = {"remainder": remainder, "period": period, "within": within, "since": since}
    rows = await _NEWEST.rows(connection, parameters)
    return to_view(rows[0]) if rows else None
