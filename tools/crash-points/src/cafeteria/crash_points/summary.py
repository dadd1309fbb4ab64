"""Prints the result as a table, and the command that repeats each violated point."""

from rich.console import Console
from rich.table import Table

from cafeteria.crash_points.rounds import Outcome
from cafeteria.crash_points.workers import CrashResult, counted

SENTENCES = 6
PROGRAM = "just rush --crash-points"


def show(result: CrashResult, console: Console) -> None:
    console.print(_table(result))
    met = [outcome for outcome in result.outcomes if outcome.met]
    if met:
        seconds = sum(outcome.lasted_s for outcome in met) / len(met)
        console.print(
            f"{len(met)} crashes in {result.lasted_s:.0f} s, {seconds:.1f} s each on one of"
            f" {result.options.workers} workers; seed {result.options.seed}"
        )
    for outcome in result.outcomes:
        if not outcome.met and not outcome.violations:
            console.print(f"[yellow]not met[/] {outcome.point}", highlight=False)
    for outcome in result.violations:
        _print_violation(outcome, console)
    for folder in result.logs:
        console.print(f"logs of an environment with a violation: {folder}", highlight=False)


def _table(result: CrashResult) -> Table:
    table = Table("service", "server", title="Crash points")
    for column in ("points", "met", "not met", "violations"):
        table.add_column(column, justify="right")
    found = counted(result.found)
    met = counted(outcome.point for outcome in result.outcomes if outcome.met)
    not_met = counted(outcome.point for outcome in result.outcomes if not outcome.met)
    broken = counted(outcome.point for outcome in result.violations)
    for place in sorted(found):
        table.add_row(*place, *(str(count[place]) for count in (found, met, not_met, broken)))
    table.add_section()
    table.add_row("all", "", *(str(count.total()) for count in (found, met, not_met, broken)))
    return table


def _print_violation(outcome: Outcome, console: Console) -> None:
    console.print(f"[red]broken[/] {outcome.point}", highlight=False)
    for sentence in outcome.violations[:SENTENCES]:
        console.print(f"    {sentence}", highlight=False, markup=False)
    console.print(f"    again: {PROGRAM} --only '{outcome.point}'", highlight=False, markup=False)
