"""What a benchmark found: series by contender, ratios against their targets, and what the machine did meanwhile."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Self

import msgspec
from rich.console import Console
from rich.table import Table

MICROSECONDS = "µs"


class Series(msgspec.Struct, frozen=True):
    """One figure over the rounds, in their order."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(median(self.values))

    def __str__(self) -> str:
        if len(self.values) == 1:
            return _short(self.values[0])
        return f"{_short(self.median)}  [{_short(min(self.values))} to {_short(max(self.values))}]"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of every contender that has it."""

    what: str
    unit: str
    by: dict[str, Series]


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """A figure against what ran beside it, round by round, or a figure that has a target of its own."""

    what: str
    values: Series
    target: float
    at_least: bool = True
    unit: str = ""

    @property
    def is_met(self) -> bool:
        value = self.values.median
        return value >= self.target if self.at_least else value <= self.target

    @classmethod
    def between(cls, what: str, row: Row, *, of: str, to: str, target: float, at_least: bool = True) -> Self:
        pairs = zip(row.by[of].values, row.by[to].values, strict=True)
        return cls(
            what=what,
            values=Series(tuple(one / other if other else 0.0 for one, other in pairs)),
            target=target,
            at_least=at_least,
        )

    @classmethod
    def at_most(cls, row: Row, *, of: str, most: float) -> Self:
        return cls(what=row.what, values=row.by[of], target=most, at_least=False, unit=row.unit)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`remarks` are sentences: rounds thrown away, and every promise that did not hold."""

    name: str
    measures: str
    settings: dict[str, str]
    rows: tuple[Row, ...]
    ratios: tuple[Ratio, ...] = ()
    remarks: tuple[str, ...] = ()

    def row(self, what: str) -> Row:
        return next(row for row in self.rows if row.what == what)

    def with_ratios(self, *ratios: Ratio) -> Self:
        return msgspec.structs.replace(self, ratios=ratios)


def row_of(what: str, unit: str, rounds: Mapping[str, Sequence[float]]) -> Row:
    return Row(what=what, unit=unit, by={name: Series(tuple(values)) for name, values in rounds.items()})


def show(report: Report, console: Console) -> None:
    contenders = list(dict.fromkeys(name for row in report.rows for name in row.by))
    table = Table(title=f"{report.name}: {report.measures}", title_justify="left", title_style="bold")
    table.add_column("median  [least to most]")
    table.add_column("unit")
    for name in contenders:
        table.add_column(name, justify="right", no_wrap=True)
    for row in report.rows:
        table.add_row(row.what, row.unit, *(str(row.by.get(name, "")) for name in contenders))
    console.print(table)
    for ratio in report.ratios:
        mark = "[green]met[/]" if ratio.is_met else "[red]missed[/]"
        word = "at least" if ratio.at_least else "at most"
        console.print(
            f"  {ratio.what}: [bold]{ratio.values}[/] {ratio.unit} ({word} {ratio.target:g}: {mark})"
        )
    for remark in report.remarks:
        console.print(f"  [yellow]{remark}[/]")
    console.print("  " + ", ".join(f"{name} {value}" for name, value in report.settings.items()), style="dim")


def save(report: Report, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    return path


def _short(value: float) -> str:
    if abs(value) >= 100:  # noqa: PLR2004 - more digits than three say nothing
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"  # noqa: PLR2004 - the same
