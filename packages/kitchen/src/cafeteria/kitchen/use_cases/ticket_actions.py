"""Ticket actions of the kitchen's people: start, ready, collect. One action is one transaction."""

from collections.abc import Callable, Sequence
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.kitchen import Ticket
from cafeteria.kitchen.domain import Move, TicketAction, act
from cafeteria.kitchen.errors import TicketNotFound
from cafeteria.kitchen.repository import list_tickets, tickets


class TakeTicketAction:
    """Takes a ticket action. `on_moved` gets the move after its commit."""

    def __init__(
        self,
        database: Database,
        *,
        cooks_by_itself: bool,
        on_moved: Callable[[Sequence[Move]], None],
    ) -> None:
        self._database = database
        self._cooks_by_itself = cooks_by_itself
        self._on_moved = on_moved

    async def __call__(self, ticket_id: UUID, action: TicketAction) -> Ticket:
        """Return the ticket after the action. Raises TicketNotFound or IllegalTransition; a repeat changes nothing."""
        async with self._database.transaction() as connection:
            ticket = await tickets.lock(connection, ticket_id)
            if ticket is None:
                raise TicketNotFound(ticket_id)
            move = act(ticket, action, at=now(), cooks_by_itself=self._cooks_by_itself)
            if move is not None:
                moved = await tickets.write_moves(connection, [move])
            latest = await list_tickets.read_ticket(connection, ticket_id)
        if move is not None:
            self._on_moved(moved)
        return latest
