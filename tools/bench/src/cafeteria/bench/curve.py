"""Benchmark: CPU, flushes and answer times of an order at rates from 50 a second to full load."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from cafeteria.bench import rate_sweep
from cafeteria.bench.beside import OLD_FLOOR, at_commit
from cafeteria.bench.generator import BenchError
from cafeteria.bench.interleaving import PRODUCT, print_progress
from cafeteria.bench.options import Options
from cafeteria.bench.rate_sweep import FULL_LOAD, Point, Sweep
from cafeteria.bench.report import Ratio, Report, Row, row_of
from cafeteria.bench.tables import ACCEPTED, CPU, PIECE, RATE, at_one_speed
from cafeteria.bench.work_tree import WorkTree, present, work_tree

NAME = "curve"
MEASURES = (
    f"CPU, flushes and answer times of an order, offered 50 a second to as many as go; beside {OLD_FLOOR}"
)

SECONDS, ROUNDS, CONNECTIONS = 15.0, 2, 64
RATES = (50, 100, 200, 400, FULL_LOAD)
LOW_RATES = (50, 100, 200)
"""Rates at which flushes are most of the cost of an order."""

MOST_FLUSHES_OF_OLD = 0.6
MOST_CPU_OF_OLD = 0.85

FLUSHES, DISK = "flushes per order", "flushes of the disks per order"
"""FLUSHES: as the servers count them, one for each message of an atomic batch. DISK: as the disks count them, with those
of other processes; more exact on an otherwise idle machine, and misleading on any other.
"""

MEDIAN, P99 = "answer, median", "answer, 99 %"

Points = Mapping[str, Sequence[Sequence[Point]]]
"""Points by contender, by round, by rate."""


async def run(options: Options) -> Report:
    """Raises BenchError if the chosen commit is missing; if the default commit is, this one is measured alone."""
    plan = Sweep(
        rates=RATES,
        seconds=options.seconds or SECONDS,
        connections=options.connections or CONNECTIONS,
        lock=str(options.lock.absolute()) if options.lock else None,
    )
    other, remarks = await _other(options)
    trees = {PRODUCT: present()} | ({at_commit(PRODUCT, other.name): other} if other else {})
    points: dict[str, list[list[Point]]] = {name: [] for name in trees}
    for number in range(1, (options.rounds or ROUNDS) + 1):
        for name, tree in trees.items():
            print_progress(f"round {number}, {name}")
            points[name].append(await measure(tree, plan))
            remarks += [
                f"{name}, round {number}, {label(point.rate)}: {error}."
                for point in points[name][-1]
                for error in point.errors
            ]
    return report_of(points, plan, remarks=remarks, commit=other.name if other else None)


async def _other(options: Options) -> tuple[WorkTree | None, list[str]]:
    try:
        return await work_tree(options.beside or OLD_FLOOR), []
    except BenchError as error:
        if options.beside:
            raise
        return None, [f"Measured alone. {error}"]


async def measure(tree: WorkTree, plan: Sweep) -> list[Point]:
    script, argument = Path(rate_sweep.__file__), msgspec.json.encode(plan).decode()
    return msgspec.json.decode(await tree.python(script, argument), type=list[Point])


def label(rate: int) -> str:
    return "full load" if rate == FULL_LOAD else f"{rate}/s"


def row_name(rate: int, what: str) -> str:
    """Return the name of the report's row of one figure at one rate."""
    return f"{label(rate)}: {what}"


def report_of(points: Points, plan: Sweep, *, remarks: Sequence[str], commit: str | None) -> Report:
    report = Report(
        name=NAME,
        measures=MEASURES,
        settings={
            "seconds for each rate": f"{plan.seconds:g}",
            "rounds": str(len(points[PRODUCT])),
            "connections at full load": str(plan.connections),
        },
        rows=tuple(row for index, rate in enumerate(plan.rates) for row in _rows(points, index, rate)),
        remarks=tuple(remarks),
    )
    return report if commit is None else report.with_ratios(*_ratios(report, plan.rates, commit))


def _rows(points: Points, index: int, rate: int) -> Iterator[Row]:
    def row(what: str, unit: str, figure: Callable[[Point], float]) -> Row:
        by = {name: [figure(each[index]) for each in of_one] for name, of_one in points.items()}
        return row_of(row_name(rate, what), unit, by)

    yield row(ACCEPTED, RATE, lambda each: each.accepted / each.seconds)
    yield row(CPU, "µs", lambda each: _per_order(each, sum(each.cpu_s.values()) * 1e6))
    yield row(FLUSHES, "", lambda each: _per_order(each, each.wal_syncs + each.stored))
    yield row("  of the database", "", lambda each: _per_order(each, each.wal_syncs))
    yield row("  messages stored", "", lambda each: _per_order(each, each.stored))
    yield row(DISK, "", lambda each: _per_order(each, each.disk_flushes))
    yield row(MEDIAN, "ms", lambda each: each.p50_ms)
    yield row(P99, "ms", lambda each: each.p99_ms)
    yield row(PIECE, "µs", lambda each: each.piece_us)
    yield row("machine: stolen", "%", lambda each: each.steal * 100)
    yield row("machine: neighbours", "%", lambda each: each.others * 100)


def _per_order(point: Point, figure: float) -> float:
    return figure / max(1, point.accepted)


def _ratios(report: Report, rates: Sequence[int], commit: str) -> Iterator[Ratio]:
    """Compare the product with that of `commit`. Only the comparison with OLD_FLOOR has targets."""
    has_targets = commit == OLD_FLOOR

    def ratio(row: Row, most: float) -> Ratio:
        return Ratio.between(
            f"{row.what}, of that at {commit}",
            row,
            of=PRODUCT,
            to=at_commit(PRODUCT, commit),
            target=most if has_targets else None,
            at_least=False,
        )

    for rate in rates:
        cpu = at_one_speed(report, row_name(rate, CPU), by_piece=row_name(rate, PIECE))
        yield ratio(cpu, MOST_CPU_OF_OLD)
        for what in (FLUSHES, DISK) if rate in LOW_RATES else ():
            row = report.row(row_name(rate, what))
            if all(series.median for series in row.by.values()):  # else this system does not count them
                yield ratio(row, MOST_FLUSHES_OF_OLD)
