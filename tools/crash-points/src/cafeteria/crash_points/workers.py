"""Runs all crash points on several parallel workers: each has its own environment, so none disturbs another.

A worker replaces an environment in which a promise was broken, so that one violation is reported once.
"""

import asyncio
import random
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from fnmatch import fnmatchcase
from itertools import chain, zip_longest
from pathlib import Path
from time import monotonic

import msgspec

from cafeteria.crash_points.environment import Environment
from cafeteria.crash_points.killable_service import NeverReadyError
from cafeteria.crash_points.options import CrashOptions
from cafeteria.crash_points.points import Point
from cafeteria.crash_points.rounds import Outcome, Rounds
from cafeteria.crash_points.scenarios import SCENARIOS, ScenarioFailedError
from cafeteria.crash_points.survey import Survey, refresh, survey
from cafeteria.local_stack.data_directory import DataDirectory, temporary_data_directory
from cafeteria.provisioning.errors import StackError

ATTEMPTS = 3
"""Batches form differently in each scenario run: a point whose message did not come is tried this often."""

Report = Callable[[str], None]


class CrashResult(msgspec.Struct, kw_only=True):
    """The result of a run. `found` has all points that the options select, `outcomes` those that were tried."""

    options: CrashOptions
    found: tuple[Point, ...] = ()
    chosen: int = 0
    outcomes: list[Outcome] = msgspec.field(default_factory=list)
    logs: list[Path] = msgspec.field(default_factory=list)
    """Log folders of environments in which a promise was broken."""
    lasted_s: float = 0.0

    @property
    def violations(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.violations]

    @property
    def held(self) -> bool:
        return not self.violations


class CrashRun:
    """Runs the crash points that the options select. `result` may be read meanwhile."""

    def __init__(self, options: CrashOptions, *, report: Report) -> None:
        self.result = CrashResult(options=options)
        self._options = options
        self._report = report
        self._setting_up = asyncio.Lock()
        self._remaining: deque[Point] = deque()
        self._surveyed: asyncio.Future[Survey] = asyncio.get_running_loop().create_future()

    async def run(self) -> CrashResult:
        """Raises StackError."""
        began_at = monotonic()
        try:
            async with asyncio.TaskGroup() as workers:
                for number in range(self._options.workers):
                    workers.create_task(self._run_worker(is_first=number == 0))
        except ExceptionGroup as errors:
            if isinstance(errors.exceptions[0], StackError):
                raise errors.exceptions[0] from None
            raise
        self.result.lasted_s = monotonic() - began_at
        return self.result

    async def _run_worker(self, *, is_first: bool) -> None:
        has_work = True
        while has_work:
            with temporary_data_directory() as data_directory:
                async with self._environment(data_directory) as environment:
                    if is_first and not self._surveyed.done():
                        self._surveyed.set_result(await self._survey(environment))
                    has_work = await self._work(environment, await asyncio.shield(self._surveyed))
                    if has_work:
                        self.result.logs.append(_keep_logs(data_directory))

    @asynccontextmanager
    async def _environment(self, data_directory: DataDirectory) -> AsyncIterator[Environment]:
        """Set up an environment, one at a time: migrations keep their state in globals."""
        async with AsyncExitStack() as stack:
            async with self._setting_up:
                environment = await stack.enter_async_context(Environment(data_directory))
            yield environment

    async def _survey(self, environment: Environment) -> Survey:
        self._report("recording the scenarios without crashes")
        found = await survey(environment, self._wanted_scenarios(), fresh_starts=self._options.fresh_starts)
        points = [point for point in found.points if self._is_wanted(point)]
        chosen = points if self._options.sample is None else drawn(points, self._options)
        self._remaining.extend(sorted(chosen, key=lambda point: _order_of_points(point, found)))
        self.result.found, self.result.chosen = tuple(points), len(chosen)
        self._report(f"{len(points)} crash points, {len(chosen)} of them selected")
        return found

    def _wanted_scenarios(self) -> list[str]:
        """Return the scenarios that a pattern can match; the name of a point begins with its scenario."""
        named = {pattern.partition("/")[0] for pattern in self._options.only}
        return [
            scenario
            for scenario in SCENARIOS
            if scenario in self._options.scenarios
            and (not named or any(fnmatchcase(scenario, name) for name in named))
        ]

    def _is_wanted(self, point: Point) -> bool:
        only = self._options.only
        return point.kind.service in self._options.services and (
            not only or any(fnmatchcase(str(point), pattern) for pattern in only)
        )

    async def _work(self, environment: Environment, found: Survey) -> bool:
        """Try points until none is left; return True when a violation makes a new environment necessary."""
        rounds = Rounds(environment, found.background)
        while self._remaining:
            outcome = await self._try(rounds, self._remaining.popleft(), found)
            self.result.outcomes.append(outcome)
            if outcome.violations:
                self._report(f"{outcome.point}: {outcome.violations[0]}")
                return True
        return False

    async def _try(self, rounds: Rounds, point: Point, found: Survey) -> Outcome:
        """Try a point; when its message does not come, try again, alternately on fresh and used processes."""
        is_fresh = found.needs_fresh(point)
        for attempt in range(ATTEMPTS):
            try:
                if is_fresh:
                    await refresh(rounds.environment, [point.kind.service])
                elif attempt:
                    await rounds.record(point.scenario)
                outcome = await rounds.inject(point)
            except (ScenarioFailedError, NeverReadyError, TimeoutError) as error:
                return Outcome(point=point, met=False, violations=(str(error) or repr(error),), lasted_s=0.0)
            if outcome.met or outcome.violations:
                break
            is_fresh = not is_fresh
        return outcome


def drawn(points: Sequence[Point], options: CrashOptions) -> list[Point]:
    """Draw the sample evenly over the services, in an order that the seed decides."""
    chance = random.Random(options.seed)  # noqa: S311 - repeatable on purpose
    shares = []
    for service in options.services:
        share = [point for point in points if point.kind.service == service]
        shares.append(chance.sample(share, len(share)))
    in_turn = (point for point in chain.from_iterable(zip_longest(*shares)) if point is not None)
    return [point for point, _ in zip(in_turn, range(options.sample or 0), strict=False)]


def _order_of_points(point: Point, found: Survey) -> tuple[str, bool, Point]:
    """Sort points so that those with the same kitchen mode and fresh processes follow each other."""
    return point.scenario, found.needs_fresh(point), point


def _keep_logs(data_directory: DataDirectory) -> Path:
    kept = Path(tempfile.mkdtemp(prefix="cafeteria-crash-points-"))
    shutil.copytree(data_directory.logs, kept, dirs_exist_ok=True)
    return kept


def counted(points: Iterable[Point]) -> Counter[tuple[str, str]]:
    """Count points by service and server."""
    return Counter((point.kind.service, point.kind.server) for point in points)
