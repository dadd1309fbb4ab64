"""Interleave a benchmark with the same benchmark of another commit (A B A B), and merge the two reports.

The other commit runs its own benchmark by its own `./just bench`: the two share only that command and the format of its
report. Each round has servers of its own, and no two rounds run at once.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from cafeteria.bench.generator import BenchError
from cafeteria.bench.interleaving import FLOOR, PRODUCT, print_progress
from cafeteria.bench.options import Benchmark, Options
from cafeteria.bench.report import Ratio, Report, Row, Series
from cafeteria.bench.tables import ACCEPTED, CARRIED, CPU, at_one_speed
from cafeteria.bench.work_tree import WorkTree, work_tree

ROUNDS = 4

OLD_FLOOR = "6034b30"
"""The last commit whose floor and product send each order alone, with atomic batches of messages."""

LEAST_OF_OLD_FLOOR = 1.05
MOST_CPU_OF_OLD_FLOOR = 1.0


async def run(benchmark: Benchmark, options: Options, *, commit: str) -> Report:
    """Run the benchmark here and at `commit`. Raises BenchError if the commit or its benchmark does not exist."""
    tree = await work_tree(commit)
    one_round = msgspec.structs.replace(options, rounds=1)
    ours, theirs = [], []
    for number in range(1, (options.rounds or ROUNDS) + 1):
        print_progress(f"round {number}, present")
        ours.append(await benchmark.run(one_round))
        print_progress(f"round {number}, {tree.name}")
        theirs.append(await _run_at(tree, benchmark.NAME, options))
    report = side_by_side(of_all_rounds(ours), of_all_rounds(theirs), commit=tree.name)
    return report.with_ratios(*report.ratios, *compare(report, commit=tree.name))


async def _run_at(tree: WorkTree, name: str, options: Options) -> Report:
    """Run one round there, without `options.home`: the data in that folder have this commit's schemas."""
    with tempfile.TemporaryDirectory(prefix="cafeteria-bench-") as folder:
        status = await tree.just("bench", name, *_arguments(options), "--results", folder)
        file = Path(folder) / f"{name}.json"
        if not file.exists():
            raise BenchError(f"`just bench {name}` at {tree.name} wrote no report; it ended with {status}.")
        try:
            return msgspec.json.decode(file.read_bytes(), type=Report)
        except msgspec.MsgspecError as error:
            raise BenchError(f"The report of {name} at {tree.name} cannot be read: {error}.") from None


def _arguments(options: Options) -> list[str]:
    values = {
        "--seconds": options.seconds,
        "--connections": options.connections,
        "--lock": options.lock and options.lock.absolute(),
    }
    given = [text for name, value in values.items() if value is not None for text in (name, str(value))]
    return ["--rounds", "1", *given]


def of_all_rounds(reports: Sequence[Report]) -> Report:
    """Merge reports of one benchmark, one round each, into one report of all rounds."""
    rows = tuple(_row_of_all(rows) for rows in zip(*(report.rows for report in reports), strict=True))
    ratios = tuple(_ratio_of_all(each) for each in zip(*(report.ratios for report in reports), strict=True))
    remarks = tuple(
        f"Round {number}: {remark}"
        for number, report in enumerate(reports, start=1)
        for remark in report.remarks
    )
    settings = {**reports[0].settings, "rounds": str(len(reports))}
    return msgspec.structs.replace(reports[0], rows=rows, ratios=ratios, remarks=remarks, settings=settings)


def _row_of_all(rows: Sequence[Row]) -> Row:
    by = {name: _joined(row.by[name] for row in rows) for name in rows[0].by}
    return msgspec.structs.replace(rows[0], by=by)


def _ratio_of_all(ratios: Sequence[Ratio]) -> Ratio:
    return msgspec.structs.replace(ratios[0], values=_joined(ratio.values for ratio in ratios))


def _joined(each: Iterator[Series]) -> Series:
    return Series(tuple(value for series in each for value in series.values))


def at_commit(name: str, commit: str) -> str:
    """Return the name of a contender of another commit."""
    return f"{name} at {commit}"


def side_by_side(ours: Report, theirs: Report, *, commit: str) -> Report:
    """Return our report with their contenders added. Settings that differ are shown for both; their targets are dropped."""
    their_rows = {row.what: _renamed(row, commit) for row in theirs.rows}
    rows = [
        msgspec.structs.replace(row, by={**row.by, **their_rows.pop(row.what).by})
        if row.what in their_rows
        else row
        for row in ours.rows
    ]
    other_settings = {
        at_commit(name, commit): value
        for name, value in theirs.settings.items()
        if ours.settings.get(name) != value
    }
    return msgspec.structs.replace(
        ours,
        rows=(*rows, *their_rows.values()),
        settings={**ours.settings, "beside": commit, **other_settings},
        remarks=(*ours.remarks, *(f"At {commit}: {remark}" for remark in theirs.remarks)),
    )


def _renamed(row: Row, commit: str) -> Row:
    return msgspec.structs.replace(row, by={at_commit(name, commit): each for name, each in row.by.items()})


def compare(report: Report, *, commit: str) -> Iterator[Ratio]:
    """Compare each contender with itself at the other commit by CPU per order, which spreads less than a rate."""
    if not any(row.what == CPU for row in report.rows):
        return
    cpu = at_one_speed(report, CPU)
    for name in cpu.by:
        other = at_commit(name, commit)
        if other in cpu.by:
            yield Ratio.between(f"{CPU}, {name}: of that at {commit}", cpu, of=name, to=other)
    if commit == OLD_FLOOR and at_commit(FLOOR, commit) in cpu.by:
        yield from _of_old_floor(report, cpu)


def _of_old_floor(report: Report, cpu: Row) -> Iterator[Ratio]:
    old_floor = at_commit(FLOOR, OLD_FLOOR)
    for what in (ACCEPTED, CARRIED):
        rates = at_one_speed(report, what)
        yield Ratio.between(
            f"{what}, of the {old_floor}", rates, of=PRODUCT, to=old_floor, target=LEAST_OF_OLD_FLOOR
        )
    yield Ratio.between(
        f"{CPU}, of the {old_floor}",
        cpu,
        of=PRODUCT,
        to=old_floor,
        target=MOST_CPU_OF_OLD_FLOOR,
        at_least=False,
    )
