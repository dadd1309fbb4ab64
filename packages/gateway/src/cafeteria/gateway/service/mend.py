"""What time mends: each function is one tick of a loop, safe to run twice and on several replicas.

A tick claims a limited batch in one commit, lets go of it, and only then asks a peer. What a peer does not
answer is due again after a back-off of one to four seconds.
"""

import asyncio
from datetime import timedelta
from uuid import UUID

from cafeteria.chassis import logs, metrics
from cafeteria.chassis.bus import NoAnswer, PeerRefused
from cafeteria.chassis.clock import now
from cafeteria.chassis.database import Database
from cafeteria.chassis.outbox import Outbox, outbox_message
from cafeteria.contracts.bus import GATEWAY_STATUS
from cafeteria.contracts.stock import StockReleased
from cafeteria.gateway.domain import as_pending, own_status_event
from cafeteria.gateway.peers import Stock
from cafeteria.gateway.repository import mending
from cafeteria.gateway.service.decide import Decider, Wakes
from cafeteria.gateway.views import Backlog

BATCH_LIMIT = 500  # orders a tick
KEYS_KEPT_FOR = timedelta(hours=24)
FORGET_LIMIT = 1_000  # keys in one DELETE, which holds its locks for a few milliseconds

PENDING = metrics.gauge("cafeteria_gateway_pending_orders", "Orders that wait for stock's decision")

logger = logs.get_logger()


class RetryPending:
    """From RECEIVED on, for orders whose question was lost in a crash or got no answer."""

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
        """Ask stock about what is due, in as few requests as hold it; the first time, publish that it is PENDING."""
        async with self._database.transaction() as connection:
            due = await mending.claim_undecided(connection, limit=BATCH_LIMIT)
            untold = [order for order, is_untold in due if is_untold]
            await self._outbox.add(
                connection,
                [
                    outbox_message(
                        GATEWAY_STATUS, own_status_event(order), order_id=order.id, version=order.version
                    )
                    for order in untold
                ],
            )
        if untold:
            self._relay.wake()
        self._decider.ask([as_pending(order) for order, _ in due])
        if due:
            logger.info("stock_asked_again", orders=len(due), first_time=len(untold))

    async def count(self, *, limit: int) -> None:
        """For the limit on PENDING orders: other replicas' are counted in the database only."""
        async with self._database.statement() as connection:
            pending = await mending.count_pending(connection, limit=limit)
        self._backlog.counted(pending)
        self._pending.set(pending)


class Unreleased:
    """Loop 4, release: from CANCELLED on, until stock has given the portions back."""

    def __init__(self, *, database: Database, stock: Stock) -> None:
        self._database = database
        self._stock = stock

    async def release(self) -> None:
        """Stock gives back once, however often it is asked."""
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
    """Loop 5, retention: keys older than a day whose order has ended or waits to be collected."""
    forgotten = FORGET_LIMIT
    total = 0
    while forgotten == FORGET_LIMIT:
        async with database.statement() as connection:
            forgotten = await mending.forget_keys(
                connection, made_before=now() - KEYS_KEPT_FOR, limit=FORGET_LIMIT
            )
        total += forgotten
    if total:
        logger.info("keys_forgotten", keys=total)
