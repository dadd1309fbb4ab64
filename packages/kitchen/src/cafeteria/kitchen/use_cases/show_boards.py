"""Show the boards: the kitchen's screens and the hall's, each read once for all that ask within its time."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.http.conditional import Snapshot, snapshot_of
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import earliest_id
from cafeteria.chassis.runtime.single_flight import SingleFlight
from cafeteria.contracts.kitchen import (
    HallBoard,
    Intake,
    KitchenBoard,
    KitchenMode,
    Load,
    ReadyNumber,
    TicketStatus,
)
from cafeteria.kitchen.domain import READY_COUNTS_FOR
from cafeteria.kitchen.repository import show_boards

KITCHEN_VALID_FOR_S = 0.5
HALL_VALID_FOR_S = 1.0
_CHANGES_ALWAYS = ("as_of",)


class ShowBoards:
    """`stations` is None where people cook by hand; `intake` tells whether orders are taken."""

    def __init__(
        self, database: Database, *, stations: int | None, intake: Callable[[], Awaitable[Intake]]
    ) -> None:
        self._database = database
        self._stations = stations
        self._intake = intake
        self._kitchen = SingleFlight(self._show_kitchen, valid_for_s=KITCHEN_VALID_FOR_S)
        self._hall = SingleFlight(self._show_hall, valid_for_s=HALL_VALID_FOR_S)

    async def kitchen(self) -> Snapshot:
        """Return a `KitchenBoard`, at most KITCHEN_VALID_FOR_S old."""
        return await self._kitchen.get()

    async def hall(self) -> Snapshot:
        """Return a `HallBoard`, at most HALL_VALID_FOR_S old."""
        return await self._hall.get()

    async def _show_kitchen(self) -> Snapshot:
        intake = await self._intake()
        at = now()
        async with self._database.statement() as connection:
            content = await show_boards.read_board(connection, ready_since=_ready_since(at))
        board = KitchenBoard(
            as_of=at,
            mode=KitchenMode.MANUAL if self._stations is None else KitchenMode.AUTO,
            intake=intake,
            load=Load(**content.counts, stations=self._stations),
            totals=content.totals,
            queued=content.tickets[TicketStatus.QUEUED],
            in_kitchen=content.tickets[TicketStatus.IN_KITCHEN],
            ready=content.tickets[TicketStatus.READY],
        )
        return snapshot_of(board, except_for=_CHANGES_ALWAYS)

    async def _show_hall(self) -> Snapshot:
        intake = await self._intake()
        at = now()
        async with self._database.statement() as connection:
            numbers = await show_boards.read_numbers(connection, ready_since=_ready_since(at))
        board = HallBoard(
            as_of=at,
            is_open=intake.is_open,
            reopens_at=intake.reopens_at,
            ready=tuple(ReadyNumber(number=number, since=since) for number, since in numbers.ready),
            cooking=numbers.cooking,
            waiting=numbers.waiting,
        )
        return snapshot_of(board, except_for=_CHANGES_ALWAYS)


def _ready_since(at: datetime) -> UUID:
    return earliest_id(at - READY_COUNTS_FOR)
