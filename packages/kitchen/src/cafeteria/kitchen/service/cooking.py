"""K2: the kitchen that cooks by itself. Never more tickets in the kitchen than there are stations, over all replicas.

A tick is one commit: everything due is finished, and what fits is started. When a ticket is due stands in its
row, so any replica finishes what another one began, also after a kill.
"""

from collections.abc import Callable
from datetime import datetime
from random import uniform

import msgspec

from cafeteria.chassis.clock import now
from cafeteria.chassis.database import Database
from cafeteria.kitchen.domain import Move, finish, start
from cafeteria.kitchen.repository import tickets
from cafeteria.kitchen.repository.tickets import Workload
from cafeteria.kitchen.service.journal import Journal

TICK_LIMIT = 256  # tickets of each kind in one commit; past it the commit's own length shows


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

    async def tick(self) -> Tick:
        async with self._database.transaction() as connection:
            await tickets.lock_stations(connection)
            at = now()
            workload = await tickets.take_workload(
                connection, now=at, stations=self._stations, batch=TICK_LIMIT
            )
            finished = [finish(ticket, at=at) for ticket in workload.due]
            started = [start(ticket, at=at, prep_s=self._prep_s()) for ticket in workload.startable]
            await self._journal.write(connection, [*finished, *started])
        if finished or started:
            self._on_moved()
        return self._outcome(workload, started, at=at)

    def _outcome(self, workload: Workload, started: list[Move], *, at: datetime) -> Tick:
        due = [move.due_at for move in started if move.due_at is not None]
        if workload.next_due_at is not None:
            due.append(workload.next_due_at)
        if len(started) == TICK_LIMIT:
            due.append(at)
        cooking = workload.cooking - len(workload.due) + len(started)
        return Tick(
            moved=len(workload.due) + len(started),
            is_full=cooking >= self._stations,
            again_at=min(due, default=None),
        )


def prep_between(minimum_s: float, maximum_s: float) -> Callable[[], float]:
    """Any length in between is as likely as another."""
    return lambda: uniform(minimum_s, maximum_s)  # noqa: S311 - a cooking time is no secret
