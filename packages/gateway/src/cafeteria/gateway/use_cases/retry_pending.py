"""Retry pending: ask stock again about RECEIVED orders whose request was lost in a crash or got no answer.

A run is safe to repeat and on several replicas. It claims a limited batch in one commit and only then asks stock, with
no lock held. An order without an answer is due again after a back-off of one to four seconds.
"""

from collections.abc import Callable

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging.outbox import Outbox, outbox_message
from cafeteria.chassis.observability import logs
from cafeteria.contracts.subjects import GATEWAY_STATUS
from cafeteria.gateway.domain import as_pending, own_status_event
from cafeteria.gateway.repository import retry_pending
from cafeteria.gateway.use_cases.settle_orders import SettleOrders

BATCH_LIMIT = 500  # orders per run

logger = logs.get_logger()


class RetryPending:
    """Retries requests to stock. `on_published` is called after a commit that stored messages."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        settle_orders: SettleOrders,
        *,
        on_published: Callable[[], None],
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._settle_orders = settle_orders
        self._on_published = on_published

    async def run(self) -> None:
        """Ask stock about the due orders, in as few requests as possible; on the first retry, publish PENDING."""
        async with self._database.transaction() as connection:
            due = await retry_pending.claim_pending(connection, limit=BATCH_LIMIT)
            unpublished = [order for order, is_unpublished in due if is_unpublished]
            await self._outbox.add(
                connection,
                [
                    outbox_message(
                        GATEWAY_STATUS, own_status_event(order), key=order.id, version=order.version
                    )
                    for order in unpublished
                ],
            )
        if unpublished:
            self._on_published()
        self._settle_orders.request([as_pending(order) for order, _ in due])
        if due:
            logger.info("orders_retried", orders=len(due), first_time=len(unpublished))
