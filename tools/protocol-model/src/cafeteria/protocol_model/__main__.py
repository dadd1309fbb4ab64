"""`python -m cafeteria.protocol_model`: play schedules of the order protocol. Exit status 1 when a promise was broken."""

import argparse
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cafeteria.faultkit.milestones import Milestones
from cafeteria.protocol_model.guards import ALL_GUARDS, Guards
from cafeteria.protocol_model.search import Search, examine, search

SCHEDULES = 10_000
SHARE = 250
"""Schedules that a process plays before it reports."""
LARGEST_SEED = 2**31


def options_from(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cafeteria.protocol_model", description=__doc__)
    parser.add_argument("--schedules", type=_positive, default=SCHEDULES, help="how many (%(default)s)")
    parser.add_argument(
        "--seed", type=int, help="of the first schedule; each next schedule adds 1; random by default"
    )
    parser.add_argument(
        "--jobs", type=_positive, default=os.cpu_count() or 1, help="processes at once (%(default)s)"
    )
    parser.add_argument("--replay", type=int, metavar="SEED", help="print the trace of this one schedule")
    parser.add_argument(
        "--without",
        nargs="+",
        default=(),
        choices=ALL_GUARDS.__struct_fields__,
        metavar="GUARD",
        help=f"switch these guards off: {', '.join(ALL_GUARDS.__struct_fields__)}",
    )
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    options = options_from(argv)
    console = Console(highlight=False, soft_wrap=True)
    guards = ALL_GUARDS.without(*options.without)
    if options.replay is not None:
        return replay(console, options.replay, guards=guards)
    seed = secrets.randbelow(LARGEST_SEED) if options.seed is None else options.seed
    found = play_all(console, range(seed, seed + options.schedules), jobs=options.jobs, guards=guards)
    show(console, found, seed=seed, without=options.without)
    return 1 if found.broken else 0


def replay(console: Console, seed: int, *, guards: Guards) -> int:
    """Print the trace of one schedule and every promise that it broke."""
    trace: list[str] = []
    broken = examine(seed, guards=guards, trace=trace)
    for line in trace:
        console.print(line, markup=False)
    for sentence in broken:
        console.print(sentence, markup=False, style="red")
    if not broken:
        console.print("Every promise was kept.")
    return 1 if broken else 0


def play_all(console: Console, seeds: range, *, jobs: int, guards: Guards) -> Search:
    """Play the schedules until all are played or one share of them has broken a promise."""
    total = Search(schedules=0, cpu_s=0.0, broken={})
    milestones = Milestones(console)
    columns = (TextColumn("schedules"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(seeds))
        for share in _shares(seeds, jobs=jobs, guards=guards):
            total = Search(
                schedules=total.schedules + share.schedules,
                cpu_s=total.cpu_s + share.cpu_s,
                broken=total.broken | share.broken,
            )
            progress.advance(task, share.schedules)
            milestones.passed(f"{total.schedules:,} of {len(seeds):,} schedules")
            if total.broken:
                break
    return total


def _shares(seeds: range, *, jobs: int, guards: Guards) -> Iterator[Search]:
    """Yield the results in the order of the seeds, not in the order in which processes finish."""
    shares = [seeds[start : start + SHARE] for start in range(0, len(seeds), SHARE)]
    play = partial(search, guards=guards)
    if jobs == 1:
        yield from map(play, shares)
        return
    with ProcessPoolExecutor(max_workers=jobs) as processes:
        try:
            yield from processes.map(play, shares)
        finally:
            processes.shutdown(cancel_futures=True)


def show(console: Console, found: Search, *, seed: int, without: Sequence[str]) -> None:
    cost = f"{found.cpu_s:.1f} s of CPU, {1000 * found.cpu_s / found.schedules:.2f} ms a schedule"
    console.print(f"{found.schedules:,} schedules from seed {seed}: {cost}.")
    if not found.broken:
        console.print("Every promise was kept.")
    taken_away = f" --without {' '.join(without)}" if without else ""
    for broken_by, sentences in found.broken.items():
        console.print(f"Seed {broken_by} broke a promise:", style="bold red")
        for sentence in sentences:
            console.print(f"  {sentence}", markup=False)
        console.print(f"  Its trace: python -m cafeteria.protocol_model --replay {broken_by}{taken_away}")


if __name__ == "__main__":
    sys.exit(main())
