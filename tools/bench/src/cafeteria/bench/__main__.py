"""`python -m cafeteria.bench [name …]`: run benchmarks, or list them."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from cafeteria.bench import (
    accept,
    beside,
    curve,
    edge,
    history,
    hot,
    idle,
    latency,
    login,
    overload,
    pages,
    profile,
    ready,
    replicas,
    sold_out,
    sse,
    start,
    through,
)
from cafeteria.bench.environment import silence_bus
from cafeteria.bench.generator import BenchError, require_wrk
from cafeteria.bench.options import Benchmark, Options
from cafeteria.bench.report import Report, save, show
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.launch import allow_descriptors
from cafeteria.provisioning.errors import StackError

BENCHMARKS: tuple[Benchmark, ...] = (
    accept,
    through,
    hot,
    sold_out,
    latency,
    sse,
    history,
    login,
    start,
    idle,
    overload,
    replicas,
    edge,
    ready,
    pages,
    profile,
    curve,
)

ALL = "all"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _arguments(argv)
    console = Console()
    if not arguments.names:
        for benchmark in BENCHMARKS:
            console.print(
                f"[bold]{benchmark.NAME:<10}[/] {benchmark.MEASURES}", highlight=False, soft_wrap=True
            )
        return 0
    silence_bus()
    allow_descriptors()
    options = msgspec.convert(vars(arguments), Options)
    try:
        require_wrk()
        return asyncio.run(_run(_chosen(arguments.names), options, console, results=arguments.results))
    except (BenchError, StackError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - one sentence for a person
        return 2


async def _run(benchmarks: Sequence[Benchmark], options: Options, console: Console, *, results: Path) -> int:
    """Run benchmarks; returns 1 if a target was missed, so that a script notices."""
    is_good = True
    for benchmark in benchmarks:
        report = await _measure(benchmark, options)
        show(report, console)
        console.print(f"  {save(report, results)}\n", style="dim")
        is_good = is_good and all(ratio.is_met for ratio in report.ratios)
    return 0 if is_good else 1


async def _measure(benchmark: Benchmark, options: Options) -> Report:
    """Run one benchmark. The curve compares commits itself, so the other one need not have that benchmark."""
    if options.beside is None or benchmark.NAME == curve.NAME:
        return await benchmark.run(options)
    return await beside.run(benchmark, options, commit=options.beside)


def _chosen(names: Sequence[str]) -> list[Benchmark]:
    by_name = {benchmark.NAME: benchmark for benchmark in BENCHMARKS}
    if list(names) == [ALL]:
        return list(BENCHMARKS)
    if unknown := [name for name in names if name not in by_name]:
        raise BenchError(f"There is no benchmark {unknown[0]!r}. Choose one of {', '.join(by_name)}.")
    return [by_name[name] for name in names]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="just bench", description="Run benchmarks; without a name, list them."
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"or `{ALL}`, which takes an hour or more")
    parser.add_argument("--seconds", type=float, help="of load in each round")
    parser.add_argument("--rounds", type=int, help="of each contender, interleaved")
    parser.add_argument("--connections", type=int, help="that offer orders")
    parser.add_argument(
        "--beside",
        metavar="COMMIT",
        help="also measure that commit, interleaved with this one, by its own benchmark in its own work tree",
    )
    parser.add_argument(
        "--lock", type=Path, metavar="FILE", help="locked while measuring, for a shared machine"
    )
    parser.add_argument(
        "--home", type=Path, metavar="FOLDER", help="for the servers' data; by default a temporary one"
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FOLDER",
        default=DataDirectory.from_environment().root / "bench",
        help="where each report is written as JSON",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
