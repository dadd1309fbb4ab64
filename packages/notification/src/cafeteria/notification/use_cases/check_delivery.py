"""Check delivery: tell gateway and kitchen which of their status events are not in the log."""

from collections.abc import Awaitable, Callable, Sequence

from cafeteria.chassis.database.database import Database
from cafeteria.contracts.orders import DeliveryStatus
from cafeteria.contracts.values import OrderVersion
from cafeteria.notification.repository import check_delivery


class CheckDelivery:
    """Answers delivery checks. `is_behind` returns whether a missing status may only be unread."""

    def __init__(self, database: Database, *, is_behind: Callable[[], Awaitable[bool]]) -> None:
        self._database = database
        self._is_behind = is_behind

    async def __call__(self, items: Sequence[OrderVersion]) -> DeliveryStatus:
        """Return which of these versions are not logged."""
        async with self._database.statement() as connection:
            missing = await check_delivery.read_missing(connection, items)
        if missing and await self._is_behind():
            return DeliveryStatus(behind=True)
        return DeliveryStatus(missing=tuple(missing))
