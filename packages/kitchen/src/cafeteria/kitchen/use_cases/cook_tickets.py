"""Cook by itself: never more tickets in the kitchen than there are stations, over all replicas.

A tick is one commit: it finishes every due ticket and starts as many as fit. The stations are numbered, and the
schema lets no two tickets have the same one, which counts them without any lock between replicas. A ticket's row
holds its due time, so any replica finishes a ticket that another one started, also after a kill.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import uniform
from time import monotonic
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import earliest_id
from cafeteria.kitchen.domain import Move, Ticket, finish, start
from cafeteria.kitchen.repository import cook_tickets, tickets
from cafeteria.kitchen.repository.cook_tickets import Workload
from cafeteria.kitchen.repository.tickets import StationTaken

POLL_S = 2.0  # how late a dead replica's tickets are found
LOCKED_PAUSE_S = 0.05  # before the next try on due tickets that another transaction has locked
TICK_LIMIT = 256  # tickets of each kind in one commit; with more, the commit's own length shows
FULL_LOOK_EVERY = timedelta(seconds=5)  # a read of the whole queue, and of tickets that people had started
QUEUE_SLACK = timedelta(seconds=10)  # the longest time from the making of an id to the commit that holds it

_FIRST_ID = UUID(int=0)


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one tick. `again_at` is the time of the next work; None when only new tickets bring any."""

    moved: int
    is_full: bool
    again_at: datetime | None


class CookTickets:
    """Finishes and starts tickets, tick by tick.

    `prep_s` gives the seconds that one order takes; `on_moved` gets the moves after their commit.
    """

    def __init__(
        self,
        database: Database,
        *,
        stations: int,
        prep_s: Callable[[], float],
        on_moved: Callable[[Sequence[Move]], None],
    ) -> None:
        self._database = database
        self._stations = stations
        self._prep_s = prep_s
        self._on_moved = on_moved
        self._queue = _QueueStart()
        self.wake = asyncio.Event()
        self._full_until_s = 0.0

    def work_arrived(self) -> None:
        """Cook soon; while every station is taken, new work waits until the next ticket is due."""
        if monotonic() >= self._full_until_s:
            self.wake.set()

    async def run(self) -> float:
        """Run one tick; return the seconds until the next work that no call of `work_arrived` announces."""
        tick = await self.tick()
        pause_s = _pause_after(tick)
        self._full_until_s = monotonic() + pause_s if tick.is_full else 0.0
        return pause_s

    async def tick(self) -> Tick:
        """Run one tick in two round trips: a read without locks, and one statement of guarded writes."""
        began_at = now()
        reads_all = self._queue.is_full_read_due(began_at)
        async with self._database.statement() as connection:
            workload = await self._read(connection, began_at, reads_all=reads_all)
            by_hand = (
                await cook_tickets.read_started_by_hand(connection, batch=TICK_LIMIT) if reads_all else ()
            )
            at = now()  # after the read, or a ticket could seem to have started before its station was free
            finished = [finish(ticket, at=at) for ticket in (*workload.due, *by_hand)]
            started = [start(ticket, at=at, prep_s=self._prep_s()) for ticket in workload.startable]
            moves = [*finished, *started]
            moved = await self._write(connection, moves, taken=workload.taken)
        if moved:
            self._on_moved(moved)
        self._queue.update(workload.startable, has_free_station=self._has_free_station(workload), at=began_at)
        return self._outcome(workload, moved, at=at, is_complete=len(moved) == len(moves))

    async def _read(self, connection: AsyncConnection, at: datetime, *, reads_all: bool) -> Workload:
        return await cook_tickets.read_workload(
            connection,
            now=at,
            stations=self._stations,
            queue_from=_FIRST_ID if reads_all else self._queue.first_id,
            batch=TICK_LIMIT,
        )

    async def _write(
        self, connection: AsyncConnection, moves: Sequence[Move], *, taken: Collection[int]
    ) -> Sequence[Move]:
        """Return the moves that took place; none when another replica took a station first: the next tick retries."""
        if not moves:
            return moves
        free = [station for station in range(1, self._stations + 1) if station not in taken][: len(moves)]
        try:
            return await tickets.write_moves(connection, moves, free_stations=free)
        except StationTaken:
            return ()

    def _has_free_station(self, workload: Workload) -> bool:
        return len(workload.taken) - len(workload.due) < self._stations

    def _outcome(self, workload: Workload, moved: Sequence[Move], *, at: datetime, is_complete: bool) -> Tick:
        due_times = [move.due_at for move in moved if move.due_at is not None]
        due = {ticket.id for ticket in workload.due}
        cooking = len(workload.taken) + len(due_times) - sum(move.ticket.id in due for move in moved)
        if workload.next_due_at is not None:
            due_times.append(workload.next_due_at)
        if len(workload.startable) == TICK_LIMIT or not is_complete:
            due_times.append(at)
        return Tick(
            moved=len(moved), is_full=cooking >= self._stations, again_at=min(due_times, default=None)
        )


class _QueueStart:
    """The id at which the queue begins: a hint that a full read checks every FULL_LOOK_EVERY."""

    def __init__(self) -> None:
        self.first_id = _FIRST_ID
        self._fully_read_at = datetime.min.replace(tzinfo=UTC)

    def is_full_read_due(self, at: datetime) -> bool:
        return at - self._fully_read_at >= FULL_LOOK_EVERY

    def update(self, startable: Iterable[Ticket], *, has_free_station: bool, at: datetime) -> None:
        """Move the beginning. Call it after the commit: a start that is rolled back must not be below the beginning."""
        if self.is_full_read_due(at):
            self._fully_read_at = at
        if has_free_station:
            oldest = min((ticket.id for ticket in startable), default=None)
            self.first_id = min(oldest or earliest_id(at), earliest_id(at - QUEUE_SLACK))


def _pause_after(tick: Tick) -> float:
    if tick.again_at is None:
        return POLL_S
    pause_s = max(0.0, (tick.again_at - now()).total_seconds())
    return min(POLL_S, pause_s if tick.moved else max(pause_s, LOCKED_PAUSE_S))


def prep_between(minimum_s: float, maximum_s: float) -> Callable[[], float]:
    """Return a source of cooking times in seconds, uniformly distributed between the two."""
    return lambda: uniform(minimum_s, maximum_s)  # noqa: S311 - a cooking time is no secret
