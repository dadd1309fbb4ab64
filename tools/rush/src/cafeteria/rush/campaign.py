"""One rush from the first login to the verdict."""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import msgspec

from cafeteria.rush.arena import Arena
from cafeteria.rush.crowd import Crowd
from cafeteria.rush.faults import KINDS, NOT_HERE
from cafeteria.rush.faults.fault import Fault
from cafeteria.rush.footprint import Footprint, growth, measure
from cafeteria.rush.history import History
from cafeteria.rush.invariants import check
from cafeteria.rush.nemesis import Nemesis, plan
from cafeteria.rush.options import Options
from cafeteria.rush.pace import Pace
from cafeteria.rush.progress import Progress
from cafeteria.rush.replay import replay_everything
from cafeteria.rush.rest import Rest, come_to_rest, streams_caught_up, until_mended
from cafeteria.rush.secrecy import leaks
from cafeteria.rush.snapshot import Snapshot, read_snapshot
from cafeteria.rush.staff import Staff, enrol, student_ids
from cafeteria.rush.truth import overtaken_refusals
from cafeteria.rush.verdict import Verdict

HOT_PORTIONS_PER_ORDER = 0.3
"""Of the 0.45 that are asked for: the hot dish is sold out for the last third."""
REST_WITHIN_S = 15.0

REPLAY = "I11 history told again changes nothing"
SECRECY = "I12 no log holds a secret"
FOOTPRINT = "I13 memory and descriptors come back"
ANSWERED = "everybody was answered"
BACK = "everything came back"
IN_TIME = f"all orders ended {REST_WITHIN_S:.0f} s after the last fault"

GENTLE = (
    "postgres-reset",
    "nats-reset",
    "postgres-cut",
    "nats-cut",
    "backends-terminated",
    "streams-dropped",
)
"""Faults under the second load: they break connections and leave every process alive, so that leaks show."""
WARM_UP_ORDERS, WARM_UP_FAULTS = 1_000, 6
SECOND_LOAD = 2  # times the warm-up


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
        self._violations: dict[str, list[str]] = {}
        self._skipped: dict[str, str] = {}
        self._footprints: dict[str, tuple[Footprint, Footprint]] = {}

    async def run(self) -> Verdict:
        home = self._options.home or Path(tempfile.mkdtemp(prefix="cafeteria-rush-"))
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o711)  # under root Postgres runs as another user, who may pass through
        self._progress.say(f"starting {self._options.replicas} of each service in {home}")
        async with Arena(home, replicas=self._options.replicas, seed=self._options.seed) as arena:
            verdict = await self._rush(arena)
        _keep_or_remove(verdict, home, asked_to_keep=self._options.home is not None)
        return verdict

    async def _rush(self, arena: Arena) -> Verdict:
        began_at = monotonic()
        staff = Staff.meet(arena, self._history)
        crowd = await self._gather_people(arena, staff)
        nemesis, rest = await self._storm(arena, crowd, staff)
        stored = await self._check(arena, rest)
        self._progress.say("telling all of the bus's history again")
        replay = await replay_everything(arena)
        self._violations[REPLAY] = list(replay.violations)
        if self._options.with_footprint:
            self._footprints = await self._weigh(arena, crowd)
            self._violations[FOOTPRINT] = list(growth(self._footprints))
        else:
            self._skipped[FOOTPRINT] = "measured with --footprint, and from 20,000 orders on"
        stored = await self._check(arena, await come_to_rest(arena))
        await crowd.leave()
        self._violations[SECRECY] = await self._leaks(arena, crowd)
        self._violations[ANSWERED] = crowd.unanswered
        self._violations[BACK] = nemesis.failures
        self._violations[IN_TIME] = _too_late(rest)
        return Verdict(
            options=self._options,
            violations=self._violations,
            skipped=self._skipped,
            strikes=nemesis.strikes,
            rest=rest,
            lasted_s=monotonic() - began_at,
            orders=dict(Counter(order.status for order in stored.orders.values())),
            overtaken=overtaken_refusals(stored, self._history),
            replayed=replay.messages,
            footprints=self._footprints,
            history=self._history,
            home=arena.home.root,
        )

    async def _gather_people(self, arena: Arena, staff: Staff) -> Crowd:
        options = self._options
        ids = student_ids(options.students)
        async with arena.database() as connection:
            await enrol(connection, ids)
        await staff.arrive()
        menu = await staff.set_the_table(hot_portions=round(options.orders * HOT_PORTIONS_PER_ORDER))
        crowd = Crowd(
            ids,
            http=arena.http,
            urls=arena.urls,
            history=self._history,
            menu=menu,
            seed=options.seed,
            began_at=arena.began_at,
        )
        self._progress.say(f"{len(ids)} students log in")
        await crowd.arrive()
        arena.students = crowd.students
        return crowd

    async def _storm(self, arena: Arena, crowd: Crowd, staff: Staff) -> tuple[Nemesis, Rest]:
        """All orders and all faults; then how long it took until every order of the storm had ended."""
        nemesis = self._nemesis(arena, orders=self._options.orders, faults=self._options.faults)
        self._progress.watch(crowd, nemesis)
        working = asyncio.create_task(staff.work())
        ordering = asyncio.create_task(crowd.order(nemesis.pace))
        try:
            await nemesis.run()
            mended_after_s = await until_mended(arena)
            await ordering
        finally:
            for task in (working, ordering):
                task.cancel()
            await asyncio.gather(working, ordering, return_exceptions=True)
        rest = await come_to_rest(arena)
        rest.mended_after_s = mended_after_s
        return nemesis, rest

    def _nemesis(
        self, arena: Arena, *, orders: int, faults: int, kinds: Mapping[str, Fault] | None = None
    ) -> Nemesis:
        kinds = self._kinds if kinds is None else kinds
        waves = plan(kinds, faults=faults, seed=self._options.seed)
        return Nemesis(arena, Pace(orders=orders), kinds, waves=waves, seed=self._options.seed)

    async def _check(self, arena: Arena, rest: Rest) -> Snapshot:
        """I1 to I10, of everything so far."""
        async with arena.database() as connection:
            stored = await read_snapshot(connection)
        stored = msgspec.structs.replace(stored, on_the_way=rest.left)
        await streams_caught_up(stored, self._history)
        for name, sentences in check(stored, self._history).items():
            known = self._violations.setdefault(name, [])
            known += [sentence for sentence in sentences if sentence not in set(known)]
        return stored

    async def _weigh(self, arena: Arena, crowd: Crowd) -> dict[str, tuple[Footprint, Footprint]]:
        self._progress.say("starting everything anew, to see what a load leaves behind")
        await asyncio.gather(*(arena.stack.restart(member) for member in arena.all_members))
        await self._gentle_load(arena, crowd, times=1)
        before = await measure(arena)
        await self._gentle_load(arena, crowd, times=SECOND_LOAD)
        after = await measure(arena)
        return {member: (before[member], after[member]) for member in arena.all_members}

    async def _gentle_load(self, arena: Arena, crowd: Crowd, *, times: int) -> None:
        kinds = {name: KINDS[name] for name in GENTLE}
        orders, faults = WARM_UP_ORDERS * times, WARM_UP_FAULTS * times
        nemesis = self._nemesis(arena, orders=orders, faults=faults, kinds=kinds)
        self._progress.watch(crowd, nemesis)
        await asyncio.gather(crowd.order(nemesis.pace), nemesis.run())
        self._violations.setdefault(BACK, []).extend(nemesis.failures)
        await come_to_rest(arena)

    async def _leaks(self, arena: Arena, crowd: Crowd) -> list[str]:
        tokens = [secret for student in crowd.students for secret in student.secrets]
        home = arena.home
        return await asyncio.to_thread(lambda: list(leaks(home.logs, secrets=home.secrets, tokens=tokens)))


def _keep_or_remove(verdict: Verdict, home: Path, *, asked_to_keep: bool) -> None:
    """What a person needs to find out what happened: data and logs, faults, and all that the students saw."""
    if verdict.held and not asked_to_keep:
        shutil.rmtree(home, ignore_errors=True)
        return
    (home / "strikes.json").write_bytes(msgspec.json.format(msgspec.json.encode(verdict.strikes)))
    (home / "history.json").write_bytes(msgspec.json.encode(verdict.history))


def _too_late(rest: Rest) -> list[str]:
    if rest.mended_after_s is None or rest.ended_after_s is None:
        return [f"{rest.open_orders} orders never came to their end"]
    if rest.mended_after_s > REST_WITHIN_S:
        return [f"the last order ended {rest.mended_after_s:.1f} s after the last fault"]
    return []
