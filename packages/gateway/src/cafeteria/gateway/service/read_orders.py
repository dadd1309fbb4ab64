"""Reading orders and the menu. A student sees their own orders and no others: another's is simply not there."""

import base64
import binascii
from collections.abc import Sequence
from time import monotonic
from uuid import UUID

from cafeteria.chassis.database import Database
from cafeteria.chassis.errors import InvalidRequest, NotFound
from cafeteria.contracts.gateway import Menu
from cafeteria.gateway.domain import StoredOrder
from cafeteria.gateway.repository import orders
from cafeteria.gateway.views import AvailabilityView


class ReadOrders:
    def __init__(self, *, database: Database, availability: AvailabilityView) -> None:
        self._database = database
        self._availability = availability

    def menu(self) -> Menu:
        return self._availability.menu(at_s=monotonic())

    async def one(self, order_id: UUID, *, student_id: str) -> StoredOrder:
        """Raises NotFound, also for another student's order."""
        async with self._database.statement() as connection:
            order = await orders.find_order(connection, order_id)
        if order is None or order.student_id != student_id:
            raise NotFound("You have no order with this id.")
        return order

    async def page(
        self, student_id: str, *, cursor: str | None, limit: int
    ) -> tuple[Sequence[StoredOrder], str | None]:
        """Newest first, and the cursor of the next page, None at the end. Raises InvalidRequest."""
        before = _order_at(cursor) if cursor else None
        async with self._database.statement() as connection:
            found = await orders.find_orders_of(connection, student_id, before=before, limit=limit + 1)
        page = found[:limit]
        return page, _cursor_of(page[-1].id) if len(found) > limit else None


def _cursor_of(order_id: UUID) -> str:
    return base64.urlsafe_b64encode(order_id.bytes).rstrip(b"=").decode()


def _order_at(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.b64decode(f"{cursor}==", altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise InvalidRequest(
            "The cursor is not one that was given out here.", errors=("query.cursor: not a known cursor",)
        ) from None
