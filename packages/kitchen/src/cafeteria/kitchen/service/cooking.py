"""K2: the kitchen that cooks by itself. Never more tickets in the kitchen than there are stations, over all replicas.

A tick is one commit: everything due is finished, and what fits is started. When a ticket is due stands in its
row, so any replica finishes what another one began, also after a kill.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from random import uniform
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.clock import now
from cafeteria.chassis.database import Database
from cafeteria.kitchen.domain import Move, Place, Ticket, earliest_id, finish, start
from cafeteria.kitchen.repository import stations
from cafeteria.kitchen.repository.stations import Workload
from cafeteria.kitchen.service.journal import Journal

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
        self,
        database: Database,
        journal: Journal,
        *,
        stations: int,
        prep_s: Callable[[], float],
        on_moved: Callable[[], None],
    ) -> None:
        self._database = database
        self._journal = journal
        self._stations = stations
        self._prep_s = prep_s
        self._on_moved = on_moved
        self._queue = _QueueStart()

    async def tick(self) -> Tick:
        async with self._database.transaction() as connection:
            await stations.lock_stations(connection)
            at = now()
            looks_at_all = self._queue.is_to_be_read_whole(at)
            workload = await self._take(connection, at=at, looks_at_all=looks_at_all)
            finished = [finish(ticket, at=at) for ticket in workload.due]
            if looks_at_all:
                finished += await self._finish_started_by_hand(connection, at=at)
            started = self._start(workload, at=at)
            await self._journal.write(connection, finished, started)
        self._queue.learn(workload.startable, has_room=len(workload.taken) < self._stations, at=at)
        if finished or started:
            self._on_moved()
        return self._outcome(workload, started, moved=len(finished) + len(started), at=at)

    async def _take(self, connection: AsyncConnection, *, at: datetime, looks_at_all: bool) -> Workload:
        return await stations.take_workload(
            connection,
            now=at,
            stations=self._stations,
            queue_from=_FIRST_ID if looks_at_all else self._queue.first_id,
            batch=TICK_LIMIT,
        )

    async def _finish_started_by_hand(self, connection: AsyncConnection, *, at: datetime) -> list[Move]:
        left = await stations.take_started_by_hand(connection, batch=TICK_LIMIT)
        return [finish(ticket, at=at) for ticket in left]

    def _start(self, workload: Workload, *, at: datetime) -> list[Move]:
        free = (station for station in range(1, self._stations + 1) if station not in workload.taken)
        return [
            start(ticket, at=at, place=Place(station=station, due_at=at + timedelta(seconds=self._prep_s())))
            for ticket, station in zip(workload.startable, free, strict=False)
        ]

    def _outcome(self, workload: Workload, started: list[Move], *, moved: int, at: datetime) -> Tick:
        moments = [move.place.due_at for move in started if move.place]
        if workload.next_due_at is not None:
            moments.append(workload.next_due_at)
        if len(started) == TICK_LIMIT:
            moments.append(at)
        return Tick(
            moved=moved,
            is_full=len(workload.taken) + len(started) >= self._stations,
            again_at=min(moments, default=None),
        )


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
