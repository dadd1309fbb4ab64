"""SQL of the delivery check: which orders have a ticket."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.statement import Statement

_KNOWN = Statement("""
SELECT order_id FROM kitchen.kitchen_orders WHERE order_id = ANY(CAST(:order_ids AS uuid[]))
""")


async def read_known(connection: AsyncConnection, order_ids: Sequence[UUID]) -> set[UUID]:
    return {row.order_id for row in await _KNOWN.rows(connection, {"order_ids": list(order_ids)})}
