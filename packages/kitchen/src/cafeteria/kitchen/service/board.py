"""Answer reads: the list of tickets, the kitchen's load, and delivery checks on its orders."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts import kitchen
from cafeteria.contracts.kitchen import TicketStatus
from cafeteria.contracts.orders import KnownAnswered
from cafeteria.contracts.values import OrderVersion
from cafeteria.kitchen.domain import earliest_id
from cafeteria.kitchen.repository import board
from cafeteria.kitchen.views import Recent

LOAD_FOR_S = 1.0  # counting a long queue for each of hundreds of requests would make it longer
BEHIND_FOR_S = 1.0
READY_COUNTS_FOR = timedelta(hours=24)  # since the order arrived; nobody fetches an older meal


class Board:
    """The reads of people and other services.

    `is_behind` tells whether a missing order may just not be consumed yet; `stations` is None in manual mode.
    """

    def __init__(
        self, database: Database, *, stations: int | None, is_behind: Callable[[], Awaitable[bool]]
    ) -> None:
        self._database = database
        self._stations = stations
        self._load = Recent(self._count, for_s=LOAD_FOR_S)
        self._is_behind = Recent(is_behind, for_s=BEHIND_FOR_S)

    async def tickets(
        self, *, status: TicketStatus | None, after: UUID | None, limit: int
    ) -> tuple[list[kitchen.Ticket], UUID | None]:
        """Return a page, and the id of the ticket after which the next page begins; None at the end."""
        async with self._database.statement() as connection:
            found = await board.read_page(connection, status=status, after=after, limit=limit + 1)
        page = found[:limit]
        return page, page[-1].id if len(found) > limit else None

    async def load(self) -> kitchen.Load:
        """Return the counts of tickets by state, at most a second old."""
        return await self._load.get()

    async def known(self, items: Sequence[OrderVersion]) -> KnownAnswered:
        """Return which orders have no ticket. A cancelled ticket counts, too: its order needs no cooking."""
        async with self._database.statement() as connection:
            known = await board.read_known(connection, [item.order_id for item in items])
        missing = tuple(item for item in items if item.order_id not in known)
        if missing and await self._is_behind.get():
            return KnownAnswered(behind=True)
        return KnownAnswered(missing=missing)

    async def _count(self) -> kitchen.Load:
        async with self._database.statement() as connection:
            return await board.count_load(
                connection, stations=self._stations, ready_since=earliest_id(now() - READY_COUNTS_FOR)
            )
