"""Enqueue: store one ticket for each order, however often and in whatever sequence its work arrives."""

from collections.abc import Callable, Sequence

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.kitchen import CookOrder
from cafeteria.kitchen.domain import new_ticket
from cafeteria.kitchen.newest_pace import NewestPace
from cafeteria.kitchen.repository import tickets

BATCH_LIMIT = 1_024
QUEUE_LIMIT = 8_192
"""More than the consumer pulls at once, sixteen messages of 256 orders, so that delivered work is never refused."""


class EnqueueTickets:
    """Stores tickets for new work, with quotes from the newest pace. `on_queued` is called after the commit of a batch with new tickets."""

    def __init__(self, database: Database, newest: NewestPace, *, on_queued: Callable[[], None]) -> None:
        self._database = database
        self._newest = newest
        self._on_queued = on_queued
        self.batcher = GroupCommit[CookOrder, None](
            "kitchen-work", self._commit, batch_limit=BATCH_LIMIT, queue_limit=QUEUE_LIMIT
        )

    async def _commit(self, work: Sequence[CookOrder]) -> list[None]:
        """Enqueue in one statement, one commit. Work for an order with a ticket, cancelled or not, changes nothing."""
        at = now()
        new_tickets = [
            new_ticket(order, traceparent=order.traceparent, quote=quote)
            for order, quote in zip(work, self._newest.quotes(len(work), at=at), strict=True)
        ]
        async with self._database.statement() as connection:
            queued = await tickets.insert_tickets(connection, new_tickets, received_at=at)
        if queued:
            self._newest.count_arrived(queued)
            self._on_queued()
        return [None] * len(work)
