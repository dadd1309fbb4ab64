"""Cancel an order: SETTLED → the kitchen has cancelled → CANCELLED → released.

Only the kitchen knows whether cooking has begun, so it decides, in one commit, and the gateway projects its
decision. If the process dies in between, the kitchen's event carries the same decision. Stock gives the portions
back once; the gateway repeats the request until stock has answered.
"""

import asyncio
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging import NoAnswer, PeerRefused
from cafeteria.chassis.runtime.errors import NotFound
from cafeteria.contracts.kitchen import CancelAnswered
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.values import OrderStatus
from cafeteria.gateway.clients import Kitchen
from cafeteria.gateway.domain import StoredOrder, as_pending, path_of
from cafeteria.gateway.errors import KitchenSilent, OrderUndecided, TooLateToCancel
from cafeteria.gateway.repository import orders
from cafeteria.gateway.use_cases.project_statuses import ProjectStatuses
from cafeteria.gateway.use_cases.settle_orders import DECIDE_WITHIN_S, SettleOrders


class CancelOrder:
    def __init__(
        self,
        database: Database,
        settle_orders: SettleOrders,
        kitchen: Kitchen,
        project_statuses: ProjectStatuses,
    ) -> None:
        self._database = database
        self._settle_orders = settle_orders
        self._kitchen = kitchen
        self._project_statuses = project_statuses

    async def __call__(self, order_id: UUID, *, student_id: str) -> StoredOrder:
        """Return the cancelled order, for repeats too.

        Raises NotFound (another student's too), OrderUndecided, TooLateToCancel or KitchenSilent.
        """
        order = await self._find(order_id, student_id)
        if order.status is OrderStatus.PENDING:
            deadline = asyncio.get_running_loop().time() + DECIDE_WITHIN_S
            await self._settle_orders.answer(as_pending(order), deadline=deadline)
            order = await self._find(order_id, student_id)
        if order.status is OrderStatus.STOCK_VERIFIED:
            await self._ask_kitchen(order)
            order = await self._find(order_id, student_id)
        return _cancelled_or_refused(order)

    async def _ask_kitchen(self, order: StoredOrder) -> None:
        """Project the kitchen's answer like its event: the second of the two to arrive changes nothing."""
        try:
            answered = await self._kitchen.cancel(order)
        except (NoAnswer, PeerRefused) as error:
            raise KitchenSilent(order_id=order.id) from error
        await self._project_statuses.project([_as_event(answered, order)])

    async def _find(self, order_id: UUID, student_id: str) -> StoredOrder:
        async with self._database.statement() as connection:
            order = await orders.find_order(connection, order_id)
        if order is None or order.student_id != student_id:
            raise NotFound("You have no order with this id.")
        return order


def _cancelled_or_refused(order: StoredOrder) -> StoredOrder:
    match order.status:
        case OrderStatus.CANCELLED:
            return order
        case OrderStatus.PENDING:
            raise OrderUndecided(order_id=order.id)
        case OrderStatus.STOCK_VERIFIED:  # the kitchen did not cancel, and its event has not arrived yet
            raise KitchenSilent(order_id=order.id)
        case _:
            raise TooLateToCancel(order_id=order.id)


def _as_event(answered: CancelAnswered, order: StoredOrder) -> OrderStatusChanged:
    return OrderStatusChanged(
        order_id=order.id,
        student_id=order.student_id,
        status=answered.status,
        version=answered.version,
        at=answered.at,
        earlier=path_of(order.status_times, below=answered.version),
        reason=answered.reason,
    )
