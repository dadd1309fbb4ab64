"""Refuse a ticket that cannot be made, until a cook has begun with it. One refusal is one transaction."""

from collections.abc import Callable
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.observability import logs
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.kitchen import Ticket
from cafeteria.kitchen.domain import refuse
from cafeteria.kitchen.errors import TicketNotFound
from cafeteria.kitchen.repository import list_tickets, tickets

logger = logs.get_logger()


class RefuseTicket:
    """Cancels a ticket for the kitchen. `on_moved` is called after a commit that stored messages."""

    def __init__(self, database: Database, *, on_moved: Callable[[], None]) -> None:
        self._database = database
        self._on_moved = on_moved

    async def __call__(self, ticket_id: UUID, *, reason: str, actor: str) -> Ticket:
        """Return the refused ticket; a repeat keeps the first reason. Raises TicketNotFound or IllegalTransition."""
        async with self._database.transaction() as connection:
            ticket = await tickets.lock(connection, ticket_id)
            if ticket is None:
                raise TicketNotFound(ticket_id)
            move = refuse(ticket, reason, at=now())
            if move is not None:
                await tickets.write_moves(connection, [move])
            latest = await list_tickets.read_ticket(connection, ticket_id)
        if move is not None:
            logger.info("ticket_refused", order_id=str(ticket.order_id), actor=actor)
            self._on_moved()
        return latest
