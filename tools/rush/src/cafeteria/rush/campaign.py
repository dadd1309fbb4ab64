"""Runs one rush, from the first login to the verdict."""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import msgspec

from cafeteria.faultkit.cluster import Cluster
from cafeteria.faultkit.history import History
from cafeteria.faultkit.operators import Operators
from cafeteria.faultkit.oracle import overtaken_refusals
from cafeteria.faultkit.quiescence import Quiescence, reach_quiescence, until_orders_ended
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.rush.accounts import assemble
from cafeteria.rush.consistency_checks import ConsistencyChecks
from cafeteria.rush.faults import KINDS, NOT_HERE
from cafeteria.rush.faults.fault import Fault
from cafeteria.rush.footprint import Footprint, growth, measure
from cafeteria.rush.load_clients import LoadClients
from cafeteria.rush.load_control import LoadControl
from cafeteria.rush.load_phase import run_load_phase, together
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
    names = set(KINDS) | {fault.family for fault in KINDS.values()}
    if unknown := sorted(set(only) - names):
        raise ValueError(f"no kind of fault is called {', '.join(unknown)}; there are {', '.join(KINDS)}")
    chosen = {name: fault for name, fault in KINDS.items() if not only or {name, fault.family} & set(only)}
    return {name: fault for name, fault in chosen.items() if name not in NOT_HERE}


class Campaign:
    """Composes one rush; `run` executes it. With a `fork_server`, services are forks of it."""

    def __init__(
        self, options: Options, progress: Progress, *, fork_server: ForkServer | None = None
    ) -> None:
        self._options = options
        self._progress = progress
        self._fork_server = fork_server
        self._history = History()
        self._kinds: Mapping[str, Fault] = selected(options.only)
        self._footprints: dict[str, tuple[Footprint, Footprint]] = {}

    async def run(self) -> Verdict:
        options = self._options
        data_directory = options.home.absolute() if options.home else _temporary_folder()
        self._progress.say(f"starting {options.replicas} of each service in {data_directory}")
        cluster = Cluster(
            data_directory,
            replicas=options.replicas,
            seed=options.seed,
            fork_server=self._fork_server,
            settings=SCENES[options.scene].settings if options.scene else {},
        )
        async with cluster:
            self._progress.say(f"{options.students} students log in")
            load_clients, operators = await assemble(
                cluster,
                self._history,
                students=options.students,
                hot_portions=round(options.orders * HOT_PORTIONS_PER_ORDER),
            )
            verdict = await self._rush(cluster, load_clients, operators)
        _keep_or_remove(verdict, data_directory, asked_to_keep=options.home is not None)
        return verdict

    async def _rush(self, cluster: Cluster, load_clients: LoadClients, operators: Operators) -> Verdict:
        async with PackingWatch(cluster.bus) as watch:
            verdict = await self._play(cluster, load_clients, operators, watch.packing)
        if self._options.is_whole:
            verdict.violations[PACKED] = list(watch.packing.shortfalls())
        else:
            verdict.skipped[PACKED] = f"a rush of all kinds is judged, from {WHOLE_FROM_ORDERS:,} orders on"
        return verdict

    async def _play(
        self, cluster: Cluster, load_clients: LoadClients, operators: Operators, packing: Packing
    ) -> Verdict:
        began_at = monotonic()
        nemesis = self._nemesis(cluster)
        self._progress.watch(load_clients, nemesis)
        scene = SCENES[self._options.scene]() if self._options.scene else None
        if scene is None:
            quiescence = await run_load_phase(cluster, load_clients, operators, nemesis)
        else:
            await scene.play(load_clients, operators, nemesis)
            quiescence = await reach_quiescence(cluster, recovered_after_s=await until_orders_ended(cluster))
        checks = ConsistencyChecks(cluster, self._history)
        await self._examine(checks, cluster, load_clients, quiescence)
        stored = await checks.check_stored_data(await reach_quiescence(cluster))
        if scene is not None:
            checks.note(scene.question, scene.judge(stored, load_clients))
        await load_clients.leave()
        await checks.check_logs(load_clients)
        checks.check_observations(load_clients, nemesis, quiescence)
        return Verdict(
            options=self._options,
            violations=checks.violations,
            skipped=checks.skipped,
            injections=nemesis.injections,
            quiescence=quiescence,
            lasted_s=monotonic() - began_at,
            orders=dict(Counter(order.status for order in stored.orders.values())),
            overtaken=overtaken_refusals(stored, self._history),
            replayed=checks.replayed,
            packing=packing,
            footprints=self._footprints,
            history=self._history,
            data_directory=cluster.data_directory.root,
        )

    async def _examine(
        self, checks: ConsistencyChecks, cluster: Cluster, load_clients: LoadClients, quiescence: Quiescence
    ) -> None:
        """Check, replay and measure; the caller checks again, because neither replay nor load may change a result."""
        await checks.check_stored_data(quiescence)
        self._progress.say("replaying all of the bus's history")
        await checks.check_replay()
        if not self._options.with_footprint:
            checks.skipped[FOOTPRINT] = "measured with --footprint, and from 20,000 orders on"
            return
        self._footprints = await self._measure_footprint(cluster, load_clients)
        checks.note(FOOTPRINT, list(growth(self._footprints)))

    def _nemesis(self, cluster: Cluster) -> Nemesis:
        options = self._options
        if options.scene:
            return Nemesis(cluster, LoadControl(orders=0), KINDS, waves=(), seed=options.seed)
        waves = plan(self._kinds, faults=options.faults, seed=options.seed)
        return Nemesis(
            cluster, LoadControl(orders=options.orders), self._kinds, waves=waves, seed=options.seed
        )

    async def _measure_footprint(
        self, cluster: Cluster, load_clients: LoadClients
    ) -> dict[str, tuple[Footprint, Footprint]]:
        """Measure every process before and after a load, after restarting all of them."""
        self._progress.say("restarting everything, to measure what a load leaves behind")
        await asyncio.gather(*(cluster.stack.restart(process) for process in cluster.all_processes))
        await self._run_gentle_load(cluster, load_clients, times=1)
        before = await measure(cluster)
        await self._run_gentle_load(cluster, load_clients, times=SECOND_LOAD)
        after = await measure(cluster)
        return {process: (before[process], after[process]) for process in cluster.all_processes}

    async def _run_gentle_load(self, cluster: Cluster, load_clients: LoadClients, *, times: int) -> None:
        kinds = {name: KINDS[name] for name in GENTLE}
        waves = plan(kinds, faults=WARM_UP_FAULTS * times, seed=self._options.seed)
        load_control = LoadControl(orders=WARM_UP_ORDERS * times)
        nemesis = Nemesis(cluster, load_control, kinds, waves=waves, seed=self._options.seed)
        self._progress.watch(load_clients, nemesis)
        await together(load_clients.order(load_control), nemesis.run())
        await reach_quiescence(cluster)


def _temporary_folder() -> Path:
    """Make a folder that other users may enter: under root Postgres runs as another user."""
    folder = Path(tempfile.mkdtemp(prefix="cafeteria-rush-"))
    folder.chmod(0o711)
    return folder


def _keep_or_remove(verdict: Verdict, data_directory: Path, *, asked_to_keep: bool) -> None:
    """Remove the data, or keep what an investigation needs: data, logs, faults, and everything the students saw."""
    if verdict.held and not asked_to_keep:
        shutil.rmtree(data_directory, ignore_errors=True)
        return
    (data_directory / "strikes.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(verdict.injections))
    )
    (data_directory / "history.json").write_bytes(msgspec.json.encode(verdict.history))
