"""`python -m cafeteria.crash_points`: kill services at every message. Exit status 1 when a promise is broken."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import msgspec
from rich.console import Console

from cafeteria.crash_points.environment import KILLABLE_SERVICES
from cafeteria.crash_points.options import WORKERS, CrashOptions
from cafeteria.crash_points.run import run
from cafeteria.crash_points.scenarios import SCENARIOS
from cafeteria.crash_points.summary import PROGRAM, show
from cafeteria.local_stack.launch import allow_descriptors
from cafeteria.provisioning.errors import StackError


def options_from(argv: Sequence[str] | None) -> CrashOptions:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    parser.add_argument(
        "--service",
        dest="services",
        nargs="+",
        choices=KILLABLE_SERVICES,
        default=KILLABLE_SERVICES,
        help="services to kill (all four)",
    )
    parser.add_argument(
        "--life",
        dest="scenarios",
        nargs="+",
        choices=tuple(SCENARIOS),
        default=tuple(SCENARIOS),
        help="scenarios to run (all)",
    )
    parser.add_argument(
        "--only", nargs="+", default=(), metavar="NAME", help="these points; * matches anything"
    )
    parser.add_argument("--sample", type=int, metavar="N", help="test N points, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (%(default)s)")
    parser.add_argument(
        "--lanes",
        dest="workers",
        type=int,
        default=WORKERS,
        help="parallel workers, each with an environment (%(default)s)",
    )
    return msgspec.convert(vars(parser.parse_args(argv)), CrashOptions)


def main(argv: Sequence[str] | None = None) -> int:
    options = options_from(argv)
    allow_descriptors()
    console = Console()
    try:
        result = asyncio.run(run(options, console))
    except StackError as error:
        console.print(str(error), highlight=False)
        return 1
    show(result, console)
    if not result.outcomes:
        console.print("No crash point has this name.")
        return 1
    return 0 if result.held else 1


if __name__ == "__main__":
    sys.exit(main())
