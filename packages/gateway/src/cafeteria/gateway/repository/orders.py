"""Read orders."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.gateway.domain import StoredOrder
from cafeteria.gateway.repository.rows import ORDER_COLUMNS, stored_order
from cafeteria.gateway.tables import OrderRow


async def find_order(connection: AsyncConnection, order_id: UUID) -> StoredOrder | None:
    row = (await connection.execute(sa.select(*ORDER_COLUMNS).where(OrderRow.id == order_id))).one_or_none()
    return None if row is None else stored_order(row)


async def find_orders_of(
    connection: AsyncConnection, student_id: str, *, before: UUID | None, limit: int
) -> list[StoredOrder]:
    """Return the student's orders, newest first; `before` is the last order of the previous page."""
    wanted = sa.select(*ORDER_COLUMNS).where(OrderRow.student_id == student_id)
    if before is not None:
        wanted = wanted.where(OrderRow.id < before)
    rows = await connection.execute(wanted.order_by(OrderRow.id.desc()).limit(limit))
    return [stored_order(row) for row in rows]
