"""Release: ask stock to give a CANCELLED order's portions back, until stock has answered.

A run is safe to repeat and on several replicas. It claims a limited batch in one commit and only then asks stock, with
no lock held. An order without an answer is due again after a back-off of one to four seconds.
"""

import asyncio
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging import NoAnswer, PeerRefused
from cafeteria.chassis.observability import logs
from cafeteria.contracts.stock import StockReleased
from cafeteria.gateway.clients import Stock
from cafeteria.gateway.repository import release_cancelled

BATCH_LIMIT = 500  # orders per run

logger = logs.get_logger()


class ReleaseCancelled:
    """Releases the portions of cancelled orders. Setting `wake` starts the next run at once."""

    def __init__(self, database: Database, stock: Stock) -> None:
        self._database = database
        self._stock = stock
        self.wake = asyncio.Event()

    async def run(self) -> None:
        """Ask stock about the due orders. Stock gives an order's portions back once, however often it is asked."""
        async with self._database.statement() as connection:
            due = await release_cancelled.claim_unreleased(connection, limit=BATCH_LIMIT)
        if not due:
            return
        answers = [answer for answer in await asyncio.gather(*map(self._release, due)) if answer is not None]
        if answers:
            async with self._database.statement() as connection:
                await release_cancelled.mark_released(connection, answers)
        logger.info("portions_released", orders=len(answers), unanswered=len(due) - len(answers))

    async def _release(self, order_id: UUID) -> StockReleased | None:
        try:
            return await self._stock.release(order_id)
        except (NoAnswer, PeerRefused):
            return None
