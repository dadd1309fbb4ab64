"""Runs one rush, from the first login to the verdict."""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import msgspec

from cafeteria.faultkit.cluster import Arena
from cafeteria.faultkit.history import History
from cafeteria.faultkit.operators import Staff
from cafeteria.faultkit.oracle import overtaken_refusals
from cafeteria.faultkit.quiescence import Rest, come_to_rest, until_mended
from cafeteria.local_stack.fork_server import Template
from cafeteria.rush.accounts import assemble
from cafeteria.rush.consistency_checks import Examination
from cafeteria.rush.faults import KINDS, NOT_HERE
from cafeteria.rush.faults.fault import Fault
from cafeteria.rush.footprint import Footprint, growth, measure
from cafeteria.rush.load_clients import Crowd
from cafeteria.rush.load_control import Pace
from cafeteria.rush.load_phase import storm, together
from cafeteria.rush.nemesis import Nemesis, plan
from cafeteria.rush.options import WHOLE_FROM_ORDERS, Options
from cafeteria.rush.packing import Packing, PackingWatch
from cafeteria.rush.progress import Progress
from cafeteria.rush.scenes import SCENES
from cafeteria.rush.verdict import Verdict

HOT_PORTIONS_PER_ORDER = 0.3
"""Of the 0.45 that students order: the hot dish is sold out for the last third."""

PACKED = "messages held many items, and more at a second try"
FOOTPRINT = "I13 memory and descriptors come back"
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
    """Return kinds by name or family that this machine can inject. Raises ValueError for an unknown name."""
    known = set(KINDS) | {fault.family for fault in KINDS.values()}
    if unknown := sorted(set(only) - known):
        raise ValueError(f"no kind of fault is called {', '.join(unknown)}; there are {', '.join(KINDS)}")
    wanted = {name: fault for name, fault in KINDS.items() if not only or {name, fault.family} & set(only)}
    return {name: fault for name, fault in wanted.items() if name not in NOT_HERE}


class Campaign:
    """Composes one rush; `run` executes it. With a `template`, services are forks of it."""

    def __init__(self, options: Options, progress: Progress, *, template: Template | None = None) -> None:
        self._options = options
        self._progress = progress
        self._template = template
        self._history = History()
        self._kinds: Mapping[str, Fault] = selected(options.only)
        self._footprints: dict[str, tuple[Footprint, Footprint]] = {}

    async def run(self) -> Verdict:
        options = self._options
        home = options.home.absolute() if options.home else _temporary_folder()
        self._progress.say(f"starting {options.replicas} of each service in {home}")
        arena = Arena(home, replicas=options.replicas, seed=options.seed, template=self._template)
        async with arena:
            self._progress.say(f"{options.students} students log in")
            crowd, staff = await assemble(
                arena,
                self._history,
                students=options.students,
                hot_portions=round(options.orders * HOT_PORTIONS_PER_ORDER),
            )
            verdict = await self._rush(arena, crowd, staff)
        _keep_or_remove(verdict, home, asked_to_keep=options.home is not None)
        return verdict

    async def _rush(self, arena: Arena, crowd: Crowd, staff: Staff) -> Verdict:
        async with PackingWatch(arena.bus) as watch:
            verdict = await self._play(arena, crowd, staff, watch.packing)
        if self._options.is_whole:
            verdict.violations[PACKED] = list(watch.packing.shortfalls())
        else:
            verdict.skipped[PACKED] = f"a rush of all kinds is judged, from {WHOLE_FROM_ORDERS:,} orders on"
        return verdict

    async def _play(self, arena: Arena, crowd: Crowd, staff: Staff, packing: Packing) -> Verdict:
        began_at = monotonic()
        nemesis = self._nemesis(arena)
        self._progress.watch(crowd, nemesis)
        scene = SCENES[self._options.scene]() if self._options.scene else None
        if scene is None:
            rest = await storm(arena, crowd, staff, nemesis)
        else:
            await scene.play(crowd, staff, nemesis)
            rest = await come_to_rest(arena, mended_after_s=await until_mended(arena))
        examination = Examination(arena, self._history)
        await self._examine(examination, arena, crowd, rest)
        stored = await examination.ask_what_is_stored(await come_to_rest(arena))
        if scene is not None:
            examination.note(scene.question, scene.judge(stored, crowd))
        await crowd.leave()
        await examination.ask_the_logs(crowd)
        examination.ask_the_people(crowd, nemesis, rest)
        return Verdict(
            options=self._options,
            violations=examination.violations,
            skipped=examination.skipped,
            strikes=nemesis.strikes,
            rest=rest,
            lasted_s=monotonic() - began_at,
            orders=dict(Counter(order.status for order in stored.orders.values())),
            overtaken=overtaken_refusals(stored, self._history),
            replayed=examination.replayed,
            packing=packing,
            footprints=self._footprints,
            history=self._history,
            home=arena.home.root,
        )

    async def _examine(self, examination: Examination, arena: Arena, crowd: Crowd, rest: Rest) -> None:
        """Check, replay and measure; the caller checks again, because neither replay nor load may change a result."""
        await examination.ask_what_is_stored(rest)
        self._progress.say("replaying all of the bus's history")
        await examination.ask_again_after_a_replay()
        if not self._options.with_footprint:
            examination.skipped[FOOTPRINT] = "measured with --footprint, and from 20,000 orders on"
            return
        self._footprints = await self._measure_footprint(arena, crowd)
        examination.note(FOOTPRINT, list(growth(self._footprints)))

    def _nemesis(self, arena: Arena) -> Nemesis:
        options = self._options
        if options.scene:
            return Nemesis(arena, Pace(orders=0), KINDS, waves=(), seed=options.seed)
        waves = plan(self._kinds, faults=options.faults, seed=options.seed)
        return Nemesis(arena, Pace(orders=options.orders), self._kinds, waves=waves, seed=options.seed)

    async def _measure_footprint(self, arena: Arena, crowd: Crowd) -> dict[str, tuple[Footprint, Footprint]]:
        """Measure every process before and after a load, after restarting all of them."""
        self._progress.say("restarting everything, to measure what a load leaves behind")
        await asyncio.gather(*(arena.stack.restart(member) for member in arena.all_members))
        await self._run_gentle_load(arena, crowd, times=1)
        before = await measure(arena)
        await self._run_gentle_load(arena, crowd, times=SECOND_LOAD)
        after = await measure(arena)
        return {member: (before[member], after[member]) for member in arena.all_members}

    async def _run_gentle_load(self, arena: Arena, crowd: Crowd, *, times: int) -> None:
        kinds = {name: KINDS[name] for name in GENTLE}
        waves = plan(kinds, faults=WARM_UP_FAULTS * times, seed=self._options.seed)
        pace = Pace(orders=WARM_UP_ORDERS * times)
        nemesis = Nemesis(arena, pace, kinds, waves=waves, seed=self._options.seed)
        self._progress.watch(crowd, nemesis)
        await together(crowd.order(pace), nemesis.run())
        await come_to_rest(arena)


def _temporary_folder() -> Path:
    """Make a folder that other users may enter: under root Postgres runs as another user."""
    folder = Path(tempfile.mkdtemp(prefix="cafeteria-rush-"))
    folder.chmod(0o711)
    return folder


def _keep_or_remove(verdict: Verdict, home: Path, *, asked_to_keep: bool) -> None:
    """Remove the data, or keep what an investigation needs: data, logs, faults, and everything the students saw."""
    if verdict.held and not asked_to_keep:
        shutil.rmtree(home, ignore_errors=True)
        return
    (home / "strikes.json").write_bytes(msgspec.json.format(msgspec.json.encode(verdict.strikes)))
    (home / "history.json").write_bytes(msgspec.json.encode(verdict.history))
