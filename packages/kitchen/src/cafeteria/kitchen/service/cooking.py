"""K2: the kitchen that cooks by itself. Never more tickets in the kitchen than there are stations, over all replicas.

A tick is one commit: everything due is finished, and what fits is started. The stations are numbered, and the
schema lets no two tickets have the same one: that is what counts them, without any lock between replicas. When a
ticket is due stands in its row, so any replica finishes what another one began, also after a kill.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import uniform
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.clock import now
from cafeteria.chassis.database import Database
from cafeteria.kitchen.domain import Move, Ticket, earliest_id, finish, start
from cafeteria.kitchen.repository import stations, tickets
from cafeteria.kitchen.repository.stations import Workload
from cafeteria.kitchen.repository.tickets import StationTaken

TICK_LIMIT = 256  # tickets of each kind in one commit; past it the commit's own length shows
FULL_LOOK_EVERY = timedelta(seconds=5)  # over the whole queue, and for what people had started
QUEUE_SLACK = timedelta(seconds=10)  # a commit may come so much later than the ids in it were made

_FIRST_ID = UUID(int=0)


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """What one tick did. `again_at` is when there will be more to do; None when new work alone can bring it."""

    moved: int
    is_full: bool
    again_at: datetime | None


class Cooking:
    """`prep_s` gives the seconds that one order takes; `on_moved` is called after a commit that left messages."""

    def __init__(
        self, database: Database, *, stations: int, prep_s: Callable[[], float], on_moved: Callable[[], None]
    ) -> None:
        self._database = database
        self._stations = stations
        self._prep_s = prep_s
        self._on_moved = on_moved
        self._queue = _QueueStart()

    async def tick(self) -> Tick:
        """Two round trips: a read that locks nothing, and one statement that writes what still holds."""
        began_at = now()
        looks_at_all = self._queue.is_to_be_read_whole(began_at)
        async with self._database.statement() as connection:
            workload = await self._read(connection, began_at, looks_at_all=looks_at_all)
            by_hand = (
                await stations.read_started_by_hand(connection, batch=TICK_LIMIT) if looks_at_all else ()
            )
            at = now()  # after the read, or a ticket could seem to have started before its station was free
            finished = [finish(ticket, at=at) for ticket in (*workload.due, *by_hand)]
            started = [start(ticket, at=at, prep_s=self._prep_s()) for ticket in workload.startable]
            moves = [*finished, *started]
            moved = await self._write(connection, moves, taken=workload.taken)
        if moved:
            self._on_moved()
        self._queue.learn(workload.startable, has_room=self._has_room(workload), at=began_at)
        return self._outcome(workload, moved, at=at, is_complete=len(moved) == len(moves))

    async def _read(self, connection: AsyncConnection, at: datetime, *, looks_at_all: bool) -> Workload:
        return await stations.read_workload(
            connection,
            now=at,
            stations=self._stations,
            queue_from=_FIRST_ID if looks_at_all else self._queue.first_id,
            batch=TICK_LIMIT,
        )

    async def _write(
        self, connection: AsyncConnection, moves: Sequence[Move], *, taken: Collection[int]
    ) -> Sequence[Move]:
        """The moves that took place; none when another replica took a station first, and the next tick looks again."""
        if not moves:
            return moves
        free = [station for station in range(1, self._stations + 1) if station not in taken][: len(moves)]
        try:
            return await tickets.write_moves(connection, moves, free_stations=free)
        except StationTaken:
            return ()

    def _has_room(self, workload: Workload) -> bool:
        return len(workload.taken) - len(workload.due) < self._stations

    def _outcome(self, workload: Workload, moved: Sequence[Move], *, at: datetime, is_complete: bool) -> Tick:
        moments = [move.due_at for move in moved if move.due_at is not None]
        due = {ticket.id for ticket in workload.due}
        cooking = len(workload.taken) + len(moments) - sum(move.ticket.id in due for move in moved)
        if workload.next_due_at is not None:
            moments.append(workload.next_due_at)
        if len(workload.startable) == TICK_LIMIT or not is_complete:
            moments.append(at)
        return Tick(moved=len(moved), is_full=cooking >= self._stations, again_at=min(moments, default=None))


class _QueueStart:
    """Where the queue begins, as far as is known: a hint that is checked every FULL_LOOK_EVERY."""

    def __init__(self) -> None:
        self.first_id = _FIRST_ID
        self._read_whole_at = datetime.min.replace(tzinfo=UTC)

    def is_to_be_read_whole(self, at: datetime) -> bool:
        return at - self._read_whole_at >= FULL_LOOK_EVERY

    def learn(self, startable: Iterable[Ticket], *, has_room: bool, at: datetime) -> None:
        """After a commit, or what was started and rolled back would be below the beginning."""
        if self.is_to_be_read_whole(at):
            self._read_whole_at = at
        if has_room:
            oldest = min((ticket.id for ticket in startable), default=None)
            self.first_id = min(oldest or earliest_id(at), earliest_id(at - QUEUE_SLACK))


def prep_between(minimum_s: float, maximum_s: float) -> Callable[[], float]:
    """Any length in between is as likely as another."""
    return lambda: uniform(minimum_s, maximum_s)  # noqa: S311 - a cooking time is no secret
