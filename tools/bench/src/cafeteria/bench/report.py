"""The report of a benchmark: series by contender, ratios against their targets, and remarks."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Self, TypeVar

import msgspec
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

FIGURES_ARE = "median ± spread"
Found = TypeVar("Found")
"""What a benchmark finds in one round."""

MOST_SPREAD = 9.99
"""As a share of the median; higher spreads are shown as this one, for near 0 they mean nothing."""


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

    @property
    def brief(self) -> str:
        """The median, and the largest distance of a round from it as a share of it."""
        furthest = max(abs(value - self.median) for value in self.values)
        if len(self.values) == 1 or not self.median:
            return _short(self.median)
        return f"{_short(self.median)} ±{min(furthest / abs(self.median), MOST_SPREAD):.0%}"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of every contender that has it."""

    what: str
    unit: str
    by: dict[str, Series]


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """A contender's figure divided by another's, round by round, or a figure with a target of its own. Without a target it
    is only shown, and always met.
    """

    what: str
    values: Series
    target: float | None = None
    at_least: bool = True
    unit: str = ""

    @property
    def is_met(self) -> bool:
        if self.target is None:
            return True
        value = self.values.median
        return value >= self.target if self.at_least else value <= self.target

    @property
    def goal(self) -> str:
        """The target in words, if there is one."""
        if self.target is None:
            return ""
        return f"{'at least' if self.at_least else 'at most'} {self.target:g}"

    @classmethod
    def between(
        cls, what: str, row: Row, *, of: str, to: str, target: float | None = None, at_least: bool = True
    ) -> Self:
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
    """`remarks` are sentences: each discarded round, and each error of the consistency check."""

    name: str
    measures: str
    settings: dict[str, str]
    rows: tuple[Row, ...]
    ratios: tuple[Ratio, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def contenders(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row.by))

    def row(self, what: str) -> Row:
        return next(row for row in self.rows if row.what == what)

    def with_ratios(self, *ratios: Ratio) -> Self:
        return msgspec.structs.replace(self, ratios=ratios)


def row_of(what: str, unit: str, rounds: Mapping[str, Sequence[float]]) -> Row:
    return Row(what=what, unit=unit, by={name: Series(tuple(values)) for name, values in rounds.items()})


def row_from(
    what: str, unit: str, found: Mapping[str, Sequence[Found]], figure: Callable[[Found], float]
) -> Row:
    """Return the row of one figure, computed for each round of each contender."""
    return row_of(what, unit, {name: [figure(each) for each in rounds] for name, rounds in found.items()})


def show(report: Report, console: Console) -> None:
    """Print a report for 80 columns and four contenders: a column is as wide as its figures, and names are wrapped."""
    console.print(Text(f"{report.name}: {report.measures}", style="bold"))
    console.print(_table(report))
    for ratio in report.ratios:
        console.print(Padding(_describe(ratio), (0, 0, 0, 2)))
    for remark in report.remarks:
        console.print(Padding(Text(remark, style="yellow"), (0, 0, 0, 2)))
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    console.print(Padding(Text(settings, style="dim"), (0, 0, 0, 2)))


def _table(report: Report) -> Table:
    """Show medians and the spread of the furthest round; the JSON file has all rounds."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(FIGURES_ARE, overflow="fold")
    for name in report.contenders:
        figures = [row.by[name].brief for row in report.rows if name in row.by]
        width = max(map(len, (*figures, *name.split())))
        table.add_column(name, justify="right", width=width)
    for row in report.rows:
        what = f"{row.what}, {row.unit}" if row.unit else row.what
        cells = (row.by[name].brief if name in row.by else "" for name in report.contenders)
        table.add_row(Text(what), *cells)
    return table


def _describe(ratio: Ratio) -> Text:
    text = Text.assemble(f"{ratio.what}: ", (str(ratio.values), "bold"), f" {ratio.unit}".rstrip())
    if ratio.goal:
        mark = ("met", "green") if ratio.is_met else ("missed", "red")
        text.append_text(Text.assemble(f" ({ratio.goal}: ", mark, ")"))
    return text


def save(report: Report, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    return path


def _short(value: float) -> str:
    if abs(value) >= 100:  # noqa: PLR2004 - three digits are enough
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"  # noqa: PLR2004 - the same
