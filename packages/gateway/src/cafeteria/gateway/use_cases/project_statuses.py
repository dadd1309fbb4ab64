"""Project: applies the kitchen's status events to the gateway's orders, in any order and any number of times.

Every event carries the states before it, so each order needs only the highest version of a batch. A CANCELLED
event, or the same answer to a cancel request, makes the order due for its release.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability import logs
from cafeteria.contracts.orders import AskKnown, KnownAnswered, OrderStatusChanged
from cafeteria.gateway.domain import is_from_kitchen
from cafeteria.gateway.repository import orders
from cafeteria.gateway.service.decide import Wakes

logger = logs.get_logger()


class Projection:
    """Stores the kitchen's states of orders; wakes `release` after a commit that cancelled an order."""

    def __init__(self, *, database: Database, release: Wakes) -> None:
        self._database = database
        self._release = release

    async def commit(self, batch: Sequence[OrderStatusChanged]) -> list[None]:
        """Project a batch of events; their messages may be acknowledged after that."""
        await self.take(batch)
        return [None] * len(batch)

    async def take(self, events: Iterable[OrderStatusChanged]) -> None:
        """Project the highest version of each order."""
        highest: dict[object, OrderStatusChanged] = {}
        for event in events:
            if not is_from_kitchen(event):
                logger.error("event_unusable", order_id=str(event.order_id), status=event.status)
            elif (known := highest.get(event.order_id)) is None or known.version < event.version:
                highest[event.order_id] = event
        if not highest:
            return
        async with self._database.statement() as connection:
            has_cancelled = await orders.project(connection, list(highest.values()))
        if has_cancelled:
            self._release.wake()


class DeliveryCheck:
    """Tells the kitchen which of its events are missing here; `is_behind` is true while its consumer lags."""

    def __init__(self, *, database: Database, is_behind: Callable[[], Awaitable[bool]]) -> None:
        self._database = database
        self._is_behind = is_behind

    async def answer(self, asked: AskKnown) -> KnownAnswered:
        """The versions that are missing here; `behind` if the lag may be the reason. Raises DatabaseUnavailable."""
        async with self._database.statement() as connection:
            missing = await orders.find_missing(connection, asked.items)
        if missing and await self._is_behind():
            return KnownAnswered(behind=True)
        return KnownAnswered(missing=missing)
