"""List tickets, a page at a time."""

from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.contracts.kitchen import Ticket, TicketStatus
from cafeteria.kitchen.repository import list_tickets


class ListTickets:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(
        self, *, status: TicketStatus | None, after: UUID | None, limit: int
    ) -> tuple[list[Ticket], UUID | None]:
        """Return a page, and the id of the ticket after which the next page begins; None at the end."""
        async with self._database.statement() as connection:
            found = await list_tickets.read_page(connection, status=status, after=after, limit=limit + 1)
        page = found[:limit]
        return page, page[-1].id if len(found) > limit else None
