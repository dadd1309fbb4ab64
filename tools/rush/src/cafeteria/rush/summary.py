"""Prints the verdict: each invariant, its first violations, and where logs and data are."""

from rich.console import Console
from rich.table import Table

from cafeteria.rush.packing import MANY, Packing
from cafeteria.rush.verdict import Verdict

FIRST_SENTENCES = 3


def show(verdict: Verdict, console: Console) -> None:
    """Print the table, the first sentences of each violation, and where logs and data are."""
    console.print(_table(verdict))
    for name, sentences in verdict.violations.items():
        if sentences:
            console.print(f"[red bold]{name}[/red bold]: {len(sentences)} violations", highlight=False)
            for sentence in sentences[:FIRST_SENTENCES]:
                console.print(f"  {sentence}", highlight=False, markup=False)
    console.print(facts(verdict), highlight=False)
    if not verdict.held:
        console.print(f"Logs and data are kept in {verdict.data_directory}", highlight=False)


def _table(verdict: Verdict) -> Table:
    table = Table("invariant", "verdict")
    for name, sentences in verdict.violations.items():
        table.add_row(
            name, f"[red]{len(sentences)} violations[/red]" if sentences else "[green]holds[/green]"
        )
    for name, reason in verdict.skipped.items():
        table.add_row(name, f"[yellow]not checked: {reason}[/yellow]")
    return table


def facts(verdict: Verdict) -> str:
    """Return a few sentences: how many orders and faults, how long, with which seed."""
    orders = ", ".join(f"{count} {status}" for status, count in sorted(verdict.orders.items()))
    injected, missed = len(verdict.injected), len(verdict.injections) - len(verdict.injected)
    overtaken = (
        f"{verdict.overtaken} keys were refused from memory while another request under them was in transit and was "
        "accepted. "
        if verdict.overtaken
        else ""
    )
    return (
        f"{sum(verdict.orders.values())} orders ({orders}) and {injected} faults in {verdict.lasted_s:.0f} s"
        f"{f', {missed} more prevented by another fault' if missed else ''}. "
        f"{_quiescence(verdict)} {verdict.replayed} messages were replayed. {_packing(verdict.packing)} "
        f"{overtaken}Seed {verdict.options.seed}."
    )


def _packing(packing: Packing) -> str:
    return (
        f"{packing.messages:,} messages held {packing.items:,} items, {packing.largest} at most, {packing.with_many} of "
        f"them {MANY} or more; {packing.repacked} held more at a second try."
    )


def _quiescence(verdict: Verdict) -> str:
    recovered_s = verdict.quiescence.recovered_after_s
    if recovered_s is None:
        return "Not all orders ended."
    return f"The last order ended {recovered_s:.1f} s after the last fault was healed."
