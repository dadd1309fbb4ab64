"""Check delivery: tell the gateway which of its orders have no ticket here."""

from collections.abc import Awaitable, Callable, Sequence

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.single_flight import SingleFlight
from cafeteria.contracts.orders import DeliveryStatus
from cafeteria.contracts.values import OrderVersion
from cafeteria.kitchen.repository import check_delivery

LAG_VALID_FOR_S = 1.0


class CheckDelivery:
    """Answers delivery checks. `is_behind` returns whether a missing order may only be unread."""

    def __init__(self, database: Database, *, is_behind: Callable[[], Awaitable[bool]]) -> None:
        self._database = database
        self._is_behind = SingleFlight(is_behind, valid_for_s=LAG_VALID_FOR_S)

    async def __call__(self, items: Sequence[OrderVersion]) -> DeliveryStatus:
        """Return which orders have no ticket. A cancelled ticket counts, too: its order needs no cooking."""
        async with self._database.statement() as connection:
            known = await check_delivery.read_known(connection, [item.order_id for item in items])
        missing = tuple(item for item in items if item.order_id not in known)
        if missing and await self._is_behind.get():
            return DeliveryStatus(behind=True)
        return DeliveryStatus(missing=missing)
