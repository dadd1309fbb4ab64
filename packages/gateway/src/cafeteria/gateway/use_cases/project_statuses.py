"""Project: apply the kitchen's status events to the gateway's orders, in any order and any number of times.

Every event carries the states before it, so each order needs only the highest version of a batch. A CANCELLED
event, or the same answer to a cancel request, makes the order due for its release.
"""

from collections.abc import Callable, Iterable, Sequence

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.observability import logs
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.gateway.domain import is_from_kitchen
from cafeteria.gateway.repository import project_statuses

BATCH_LIMIT = 1_024
QUEUE_LIMIT = 8_192
"""More than the consumer pulls at once, sixteen messages of 256 events, so that delivered events are never refused."""

logger = logs.get_logger()


class ProjectStatuses:
    """Stores the kitchen's states of orders. `on_cancelled` is called after a commit that cancelled an order."""

    def __init__(self, database: Database, *, on_cancelled: Callable[[], None]) -> None:
        self._database = database
        self._on_cancelled = on_cancelled
        self.batcher = GroupCommit[OrderStatusChanged, None](
            "gateway-projection", self._commit, batch_limit=BATCH_LIMIT, queue_limit=QUEUE_LIMIT
        )

    async def _commit(self, batch: Sequence[OrderStatusChanged]) -> list[None]:
        """Project a batch of events; their messages may be acknowledged after that."""
        await self.project(batch)
        return [None] * len(batch)

    async def project(self, events: Iterable[OrderStatusChanged]) -> None:
        """Project the highest version of each order, in one commit."""
        highest: dict[object, OrderStatusChanged] = {}
        for event in events:
            if not is_from_kitchen(event):
                logger.error("event_unusable", order_id=str(event.order_id), status=event.status)
            elif (known := highest.get(event.order_id)) is None or known.version < event.version:
                highest[event.order_id] = event
        if not highest:
            return
        async with self._database.statement() as connection:
            has_cancelled = await project_statuses.project(connection, list(highest.values()))
        if has_cancelled:
            self._on_cancelled()
