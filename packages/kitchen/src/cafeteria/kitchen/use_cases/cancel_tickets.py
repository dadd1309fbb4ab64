"""Cancel an order until cooking begins. Before its work arrives, the ticket is stored as CANCELLED, and work is ignored."""

from collections.abc import Callable, Sequence

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.observability import tracing
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.kitchen import CancelAnswered, CancelTicket, TicketStatus
from cafeteria.kitchen.domain import cancel, cancel_answer, new_ticket
from cafeteria.kitchen.repository import tickets


class CancelTickets:
    """Cancels tickets in batches. `on_moved` is called after a commit that stored messages."""

    def __init__(self, database: Database, *, on_moved: Callable[[], None]) -> None:
        self._database = database
        self._on_moved = on_moved
        self.batcher = GroupCommit("kitchen-cancel", self._commit)

    async def _commit(self, requests: Sequence[CancelTicket]) -> list[CancelAnswered]:
        """Cancel in one commit; return an answer for each request, the same for every repeat."""
        at = now()
        async with self._database.transaction() as connection:
            await tickets.insert_tickets(
                connection,
                [new_ticket(each, traceparent=tracing.current()) for each in requests],
                received_at=at,
            )
            locked = await tickets.lock_by_order(connection, [each.order_id for each in requests])
            moves = [cancel(ticket, at=at) for ticket in locked if ticket.status is TicketStatus.QUEUED]
            moved = await tickets.write_moves(connection, moves)
        if moved:
            self._on_moved()
        latest = {ticket.order_id: ticket for ticket in locked}
        latest.update({move.ticket.order_id: move.moved for move in moved})
        return [cancel_answer(latest[each.order_id]) for each in requests]
