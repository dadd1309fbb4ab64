"""List tickets, a page at a time."""

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.cursors import page_of, read_cursor, write_cursor
from cafeteria.contracts.kitchen import Ticket, TicketStatus
from cafeteria.kitchen.repository import list_tickets


class ListTickets:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(
        self, *, status: TicketStatus | None, cursor: str | None, limit: int
    ) -> tuple[tuple[Ticket, ...], str | None]:
        """Return a page, and the cursor of the next one; None at the end. Raises UnknownCursor."""
        after = read_cursor(cursor)
        async with self._database.statement() as connection:
            found = await list_tickets.read_page(connection, status=status, after=after, limit=limit + 1)
        return page_of(found, limit=limit, cursor_of=lambda ticket: write_cursor(ticket.id))
