"""Read orders. A student sees only their own orders: another student's is a NotFound."""

from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.cursors import page_of, read_cursor, write_cursor
from cafeteria.chassis.runtime.errors import NotFound
from cafeteria.gateway.domain import StoredOrder
from cafeteria.gateway.repository import orders


class ReadOrders:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def one(self, order_id: UUID, *, student_id: str) -> StoredOrder:
        """Raises NotFound, also for another student's order."""
        async with self._database.statement() as connection:
            order = await orders.find_order(connection, order_id)
        if order is None or order.student_id != student_id:
            raise NotFound("You have no order with this id.")
        return order

    async def page(
        self, student_id: str, *, cursor: str | None, limit: int
    ) -> tuple[tuple[StoredOrder, ...], str | None]:
        """Return a page, newest first, and the cursor of the next page, None at the end. Raises UnknownCursor."""
        before = read_cursor(cursor)
        async with self._database.statement() as connection:
            found = await orders.find_orders_of(connection, student_id, before=before, limit=limit + 1)
        return page_of(found, limit=limit, cursor_of=lambda order: write_cursor(order.id))
