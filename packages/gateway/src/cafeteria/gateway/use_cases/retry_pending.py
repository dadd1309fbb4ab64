"""Retry pending, release and purge: each is one run of a periodic job, safe to repeat and on several replicas.

A run claims a limited batch in one commit and only then calls a peer, with no lock held. An order that the peer
does not answer for is due again after a back-off of one to four seconds.
"""

import asyncio
from datetime import timedelta
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging import NoAnswer, PeerRefused
from cafeteria.chassis.messaging.outbox import Outbox, outbox_message
from cafeteria.chassis.observability import logs, metrics
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.stock import StockReleased
from cafeteria.contracts.subjects import GATEWAY_STATUS
from cafeteria.gateway.domain import as_pending, own_status_event
from cafeteria.gateway.peers import Stock
from cafeteria.gateway.repository import mending
from cafeteria.gateway.service.decide import Decider, Wakes
from cafeteria.gateway.views import Backlog

BATCH_LIMIT = 500  # orders per run
KEYS_KEPT_FOR = timedelta(hours=24)
FORGET_LIMIT = 1_000  # keys in one DELETE, which holds its locks for a few milliseconds

PENDING = metrics.gauge("cafeteria_gateway_pending_orders", "Orders that wait for stock's decision")

logger = logs.get_logger()


class RetryPending:
    """Retry pending: asks stock again about RECEIVED orders whose request was lost in a crash or got no answer."""

    def __init__(
        self, *, database: Database, outbox: Outbox, decider: Decider, relay: Wakes, backlog: Backlog
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._decider = decider
        self._relay = relay
        self._backlog = backlog
        self._pending = PENDING.metric()

    async def retry(self) -> None:
        """Ask stock about the due orders, in as few requests as possible; on the first retry, publish PENDING."""
        async with self._database.transaction() as connection:
            due = await mending.claim_undecided(connection, limit=BATCH_LIMIT)
            unpublished = [order for order, is_unpublished in due if is_unpublished]
            await self._outbox.add(
                connection,
                [
                    outbox_message(
                        GATEWAY_STATUS, own_status_event(order), order_id=order.id, version=order.version
                    )
                    for order in unpublished
                ],
            )
        if unpublished:
            self._relay.wake()
        self._decider.ask([as_pending(order) for order, _ in due])
        if due:
            logger.info("stock_asked_again", orders=len(due), first_time=len(unpublished))

    async def count(self, *, limit: int) -> None:
        """Count PENDING orders, those of other replicas too, for load shedding; stops counting at `limit`."""
        async with self._database.statement() as connection:
            pending = await mending.count_pending(connection, limit=limit)
        self._backlog.counted(pending)
        self._pending.set(pending)


class Unreleased:
    """Release: asks stock to give a CANCELLED order's portions back, until stock has answered."""

    def __init__(self, *, database: Database, stock: Stock) -> None:
        self._database = database
        self._stock = stock

    async def release(self) -> None:
        """Ask stock about the due orders. Stock gives an order's portions back once, however often it is asked."""
        async with self._database.statement() as connection:
            due = await mending.claim_unreleased(connection, limit=BATCH_LIMIT)
        if not due:
            return
        answers = [answer for answer in await asyncio.gather(*map(self._ask, due)) if answer is not None]
        if answers:
            async with self._database.statement() as connection:
                await mending.mark_released(connection, answers)
        logger.info("portions_released", orders=len(answers), unanswered=len(due) - len(answers))

    async def _ask(self, order_id: UUID) -> StockReleased | None:
        try:
            return await self._stock.release(order_id)
        except (NoAnswer, PeerRefused):
            return None


async def forget_old_keys(database: Database) -> None:
    """Purge: deletes keys older than KEYS_KEPT_FOR whose order has ended or waits to be collected."""
    purged = FORGET_LIMIT
    total = 0
    while purged == FORGET_LIMIT:
        async with database.statement() as connection:
            purged = await mending.forget_keys(
                connection, made_before=now() - KEYS_KEPT_FOR, limit=FORGET_LIMIT
            )
        total += purged
    if total:
        logger.info("keys_forgotten", keys=total)
