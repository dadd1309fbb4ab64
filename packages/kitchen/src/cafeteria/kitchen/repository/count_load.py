"""SQL of the load: how many tickets are in each state."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement
from cafeteria.contracts.kitchen import Load

COUNTS = """
SELECT (SELECT count(*) FROM kitchen.kitchen_orders WHERE status = 'QUEUED') AS queued,
       (SELECT count(*) FROM kitchen.kitchen_orders WHERE status = 'IN_KITCHEN') AS in_kitchen,
       (SELECT count(*) FROM kitchen.kitchen_orders
        WHERE status = 'READY' AND id >= CAST(:ready_since AS uuid)) AS ready
"""
_LOAD = Statement(COUNTS)


async def count_load(connection: AsyncConnection, *, stations: int | None, ready_since: UUID) -> Load:
    """Count the tickets of each state; of READY only those from `ready_since` on.

    Where nobody collects, READY tickets grow without end.
    """
    [counted] = await _LOAD.rows(connection, {"ready_since": ready_since})
    return Load(**counted, stations=stations)
