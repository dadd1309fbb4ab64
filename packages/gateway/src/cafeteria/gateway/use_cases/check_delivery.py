"""Check delivery: tell the kitchen which of its status events are missing here."""

from collections.abc import Awaitable, Callable, Sequence

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.single_flight import SingleFlight
from cafeteria.contracts.orders import DeliveryStatus
from cafeteria.contracts.values import OrderVersion
from cafeteria.gateway.repository import check_delivery

LAG_VALID_FOR_S = 1.0


class CheckDelivery:
    """Answers delivery checks. `is_behind` returns whether a missing version may only be unread."""

    def __init__(self, database: Database, *, is_behind: Callable[[], Awaitable[bool]]) -> None:
        self._database = database
        self._is_behind = SingleFlight(is_behind, valid_for_s=LAG_VALID_FOR_S)

    async def __call__(self, items: Sequence[OrderVersion]) -> DeliveryStatus:
        """Return the versions that are missing; `behind` if the lag may be the reason. Raises DatabaseUnavailable."""
        async with self._database.statement() as connection:
            missing = await check_delivery.find_missing(connection, items)
        if missing and await self._is_behind.get():
            return DeliveryStatus(behind=True)
        return DeliveryStatus(missing=missing)
