"""Count PENDING orders, those of other replicas too, for load shedding."""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability import metrics
from cafeteria.gateway.load import QueueDepth
from cafeteria.gateway.repository import count_pending

PENDING = metrics.gauge("cafeteria_gateway_pending_orders", "Orders that wait for stock's decision")


class CountPending:
    """Counts up to `limit` orders: load shedding needs no exact number above its own limit."""

    def __init__(self, database: Database, queue_depth: QueueDepth, *, limit: int) -> None:
        self._database = database
        self._queue_depth = queue_depth
        self._limit = limit
        self._pending = PENDING.metric()

    async def run(self) -> None:
        async with self._database.statement() as connection:
            pending = await count_pending.count_pending(connection, limit=self._limit)
        self._queue_depth.counted(pending)
        self._pending.set(pending)
