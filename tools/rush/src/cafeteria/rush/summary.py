"""The verdict in words: invariant by invariant, what was seen, and where to look."""

from rich.console import Console
from rich.table import Table

from cafeteria.rush.campaign import Verdict

FIRST_SENTENCES = 3


def show(verdict: Verdict, console: Console) -> None:
    """Print the table, the first sentences of each violation, and where logs and data are."""
    console.print(_table(verdict))
    for name, sentences in verdict.violations.items():
        if sentences:
            console.print(f"[red bold]{name}[/red bold]: {len(sentences)} violations", highlight=False)
            for sentence in sentences[:FIRST_SENTENCES]:
                console.print(f"  {sentence}", highlight=False, markup=False)
    console.print(_facts(verdict), highlight=False)
    if not verdict.held:
        console.print(f"Logs and data are kept in {verdict.home}", highlight=False)


def _table(verdict: Verdict) -> Table:
    table = Table("invariant", "verdict")
    for name, sentences in verdict.violations.items():
        table.add_row(
            name, f"[red]{len(sentences)} violations[/red]" if sentences else "[green]holds[/green]"
        )
    return table


def _facts(verdict: Verdict) -> str:
    orders = ", ".join(f"{count} {status}" for status, count in sorted(verdict.orders.items()))
    rest = verdict.rest.ended_after_s
    ended = "not all orders came to their end" if rest is None else f"the last order ended after {rest:.1f} s"
    return (
        f"{sum(verdict.orders.values())} orders ({orders}), {len(verdict.strikes)} faults in "
        f"{verdict.lasted_s:.0f} s; {ended}. Seed {verdict.options.seed}."
    )
