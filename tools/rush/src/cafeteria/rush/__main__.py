"""`python -m cafeteria.rush`: order, break, and check that nothing was lost. Exit status 1 on any violation."""

import argparse
import asyncio
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from cafeteria.crash_points import __main__ as crash_points
from cafeteria.local_stack.launch import allow_descriptors
from cafeteria.provisioning.errors import StackError
from cafeteria.rush import options as defaults
from cafeteria.rush.campaign import Campaign, selected
from cafeteria.rush.options import Options
from cafeteria.rush.progress import Progress
from cafeteria.rush.report import write
from cafeteria.rush.scenes import SCENES
from cafeteria.rush.summary import show
from cafeteria.rush.verdict import Verdict

LARGEST_SEED = 2**31
CRASH_POINTS = "--crash-points"
"""Selects the crash points, which have their own options: `just rush --crash-points --help`."""

_SCENES = (
    "Scenes: last-portions has 2,000 buyers for 100 portions in each of 50 rounds, with stock killed; same-key sends "
    "each of 1,000 keys 50 times at once, under kills; buy-out has one student order 100 times 13 dishes of 20 portions "
    "while the limits are on and all others order. --crash-points kills each service just before and after each message "
    "of an order, with its own options."
)


def options_from(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="just rush",
        description=__doc__,
        epilog=_SCENES,
    )
    parser.add_argument("--orders", type=int, default=defaults.ORDERS, help="how many (%(default)s)")
    parser.add_argument("--faults", type=int, default=defaults.FAULTS, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, help="repeats the schedule of faults; random by default")
    parser.add_argument("--students", type=int, default=defaults.STUDENTS, help="how many (%(default)s)")
    parser.add_argument(
        "--replicas", type=int, default=defaults.REPLICAS, help="of each service (%(default)s)"
    )
    parser.add_argument("--only", nargs="+", default=(), metavar="KIND", help="kinds or families of faults")
    parser.add_argument("--scene", choices=sorted(SCENES), help="play this instead: see below")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a report with plots")
    parser.add_argument("--home", type=Path, help="keep data and logs here, also after a success")
    parser.add_argument(
        "--footprint",
        dest="with_footprint",
        action=argparse.BooleanOptionalAction,
        help="measure memory and descriptors too",
    )
    found = parser.parse_args(argv)
    try:
        selected(tuple(found.only))
    except ValueError as error:
        parser.error(str(error))
    if found.seed is None:
        found.seed = secrets.randbelow(LARGEST_SEED)
    if found.with_footprint is None:
        found.with_footprint = found.orders >= defaults.FOOTPRINT_FROM_ORDERS
    return msgspec.convert(vars(found), Options)


async def _rush(options: Options, console: Console) -> Verdict:
    async with Progress(console) as progress:
        return await Campaign(options, progress).run()


def _report(verdict: Verdict, path: Path, console: Console) -> None:
    try:
        write(verdict, path)
    except ImportError as error:
        console.print(
            f"No report: {error.name} is missing; `uv sync --extra report` brings it.", highlight=False
        )
    else:
        console.print(f"Report: {path}", highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    if CRASH_POINTS in words:
        words.remove(CRASH_POINTS)
        return crash_points.main(words)
    options = options_from(words)
    allow_descriptors()
    console = Console()
    console.print(f"seed {options.seed}", highlight=False)
    try:
        verdict = asyncio.run(_rush(options, console))
    except StackError as error:
        console.print(str(error), highlight=False)
        return 1
    show(verdict, console)
    if options.report:
        _report(verdict, options.report, console)
    return 0 if verdict.held else 1


if __name__ == "__main__":
    sys.exit(main())
