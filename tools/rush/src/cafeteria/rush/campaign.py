"""One rush from the first login to the verdict."""

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import msgspec

from cafeteria.rush.arena import Arena
from cafeteria.rush.crowd import Crowd
from cafeteria.rush.faults import KINDS, NOT_HERE
from cafeteria.rush.faults.fault import Fault
from cafeteria.rush.history import History
from cafeteria.rush.invariants import check
from cafeteria.rush.nemesis import Nemesis, Strike, plan
from cafeteria.rush.options import Options
from cafeteria.rush.pace import Pace
from cafeteria.rush.progress import Progress
from cafeteria.rush.rest import Rest, come_to_rest, streams_caught_up
from cafeteria.rush.snapshot import Snapshot, read_snapshot
from cafeteria.rush.staff import Staff, enrol, student_ids
from cafeteria.rush.student import Student

HOT_PORTIONS_PER_ORDER = 0.3
"""Of the 0.45 that are asked for: the hot dish is sold out for the last third."""
REST_WITHIN_S = 15.0


class Verdict(msgspec.Struct, kw_only=True):
    """What came out. It held when no list in `violations` has a sentence."""

    options: Options
    violations: dict[str, list[str]]
    strikes: list[Strike]
    rest: Rest
    lasted_s: float
    orders: dict[str, int]
    """How many are stored in each status."""
    history: History
    home: Path

    @property
    def held(self) -> bool:
        return not any(self.violations.values())


def selected(only: tuple[str, ...]) -> dict[str, Fault]:
    """Kinds by name or family, as far as they can be thrown here. Raises ValueError for a word that is neither."""
    known = set(KINDS) | {fault.family for fault in KINDS.values()}
    if unknown := sorted(set(only) - known):
        raise ValueError(f"no kind of fault is called {', '.join(unknown)}; there are {', '.join(KINDS)}")
    wanted = {name: fault for name, fault in KINDS.items() if not only or {name, fault.family} & set(only)}
    return {name: fault for name, fault in wanted.items() if name not in NOT_HERE}


class Campaign:
    """Composes one rush; `run` is its life."""

    def __init__(self, options: Options, progress: Progress) -> None:
        self._options = options
        self._progress = progress
        self._history = History()
        self._kinds: Mapping[str, Fault] = selected(options.only)

    async def run(self) -> Verdict:
        home = self._options.home or Path(tempfile.mkdtemp(prefix="cafeteria-rush-"))
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o711)  # under root Postgres runs as another user, who may pass through
        self._progress.say(f"starting {self._options.replicas} of each service in {home}")
        async with Arena(home, replicas=self._options.replicas, seed=self._options.seed) as arena:
            verdict = await self._rush(arena, home)
        (home / "strikes.json").write_bytes(msgspec.json.format(msgspec.json.encode(verdict.strikes)))
        if verdict.held and self._options.home is None:
            shutil.rmtree(home, ignore_errors=True)
        return verdict

    async def _rush(self, arena: Arena, home: Path) -> Verdict:
        crowd, staff, pace = await self._gather_people(arena)
        waves = plan(self._kinds, faults=self._options.faults, seed=self._options.seed)
        nemesis = Nemesis(arena, pace, self._kinds, waves=waves, seed=self._options.seed)
        self._progress.watch(crowd, nemesis)
        began_at = monotonic()
        working = asyncio.create_task(staff.work())
        await asyncio.gather(crowd.order(), nemesis.run())
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        waited_s = arena.now_s - nemesis.last_healed_at_s
        rest = await come_to_rest(arena)
        async with arena.database() as connection:
            stored = await read_snapshot(connection)
        stored = msgspec.structs.replace(stored, on_the_way=rest.on_the_way)
        await streams_caught_up(stored, self._history)
        lasted_s = monotonic() - began_at
        await crowd.leave()
        violations = check(stored, self._history)
        violations["everybody was answered"] = crowd.unanswered
        violations["everything came back"] = nemesis.failures
        violations[f"at rest {REST_WITHIN_S:.0f} s after the last fault"] = _too_late(rest)
        self._progress.say(f"the crowd was done {waited_s:.1f} s after the last heal")
        return Verdict(
            options=self._options,
            violations=violations,
            strikes=nemesis.strikes,
            rest=rest,
            lasted_s=lasted_s,
            orders=_by_status(stored),
            history=self._history,
            home=home,
        )

    async def _gather_people(self, arena: Arena) -> tuple[Crowd, Staff, Pace]:
        options = self._options
        ids = student_ids(options.students)
        async with arena.database() as connection:
            await enrol(connection, ids)
        staff = self._staff(arena)
        await staff.arrive()
        menu = await staff.set_the_table(hot_portions=round(options.orders * HOT_PORTIONS_PER_ORDER))
        pace = Pace(orders=options.orders, allowed=0)
        crowd = Crowd(
            ids,
            http=arena.http,
            urls=arena.urls,
            history=self._history,
            menu=menu,
            pace=pace,
            seed=options.seed,
            began_at=arena.began_at,
        )
        self._progress.say(f"{len(ids)} students log in")
        await crowd.arrive()
        arena.students = crowd.students
        return crowd, staff, pace

    def _staff(self, arena: Arena) -> Staff:
        people = [
            Student(
                name,
                http=arena.http,
                urls=arena.urls,
                history=self._history,
                chance=arena.chance,
                began_at=arena.began_at,
            )
            for name in Staff.names()
        ]
        return Staff(
            *people, http=arena.http, stock=arena.stack.url("stock"), kitchen=arena.stack.url("kitchen")
        )


def _by_status(stored: Snapshot) -> dict[str, int]:
    counts: dict[str, int] = {}
    for order in stored.orders.values():
        counts[order.status] = counts.get(order.status, 0) + 1
    return counts


def _too_late(rest: Rest) -> list[str]:
    if rest.ended_after_s is None:
        return [f"{rest.open_orders} orders never came to their end"]
    if rest.ended_after_s > REST_WITHIN_S:
        return [f"the last order ended {rest.ended_after_s:.1f} s after the last fault"]
    return []
