"""Find the ticket that somebody at the counter names by its number or its code."""

from datetime import timedelta

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import earliest_id
from cafeteria.contracts.kitchen import Ticket
from cafeteria.kitchen.pickup import CODES, NUMBERS, sequence_of
from cafeteria.kitchen.repository import find_ticket

COUNTS_FOR = timedelta(hours=24)  # since the order arrived; numbers of earlier days are called up again
TICKETS_A_DAY = 200_000


class FindTicket:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_number(self, number: int) -> Ticket | None:
        """Return the newest ticket of the last 24 hours with this call number."""
        since = earliest_id(now() - COUNTS_FOR)
        async with self._database.statement() as connection:
            return await find_ticket.read_newest(
                connection, remainder=number, period=NUMBERS, within=TICKETS_A_DAY, since=since
            )

    async def by_code(self, code: str) -> Ticket | None:
        """Return the ticket of the last 24 hours with this pickup code; None too for what can be no code."""
        since = earliest_id(now() - COUNTS_FOR)
        async with self._database.statement() as connection:
            key = await find_ticket.read_key(connection)
            try:
                remainder = sequence_of(code.upper(), key)
            except ValueError:
                return None
            return await find_ticket.read_newest(
                connection, remainder=remainder, period=CODES, within=CODES, since=since
            )
