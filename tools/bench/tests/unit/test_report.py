"""A benchmark's report is readable on a terminal of 80 columns with any contenders."""

import io
import re

import pytest
from rich.console import Console

from cafeteria.bench.report import FIGURES_ARE, Ratio, Report, Row, Series, row_of, show
from cafeteria.bench.tables import ACCEPTED, CARRIED, CPU, PIECE, PROCESSES

FOUR = ("floor", "product", "floor at 6034b30", "product at 6034b30")
LONG = ("ungrouped floor", "two of each", "ungrouped floor at 6034b30", "two of each at 6034b30")
WIDTH = 80
FIGURE = re.compile(r"\S+ ±\d+%")


def report_of(names: tuple[str, ...]) -> Report:
    """Each contender is a little better than the one before, so that all figures differ."""

    def row(what: str, unit: str, *values: float) -> Row:
        shares = (1.0, 1.1, 1.2, 1.3)
        by = {name: [value * share for value in values] for name, share in zip(names, shares, strict=True)}
        return row_of(what, unit, by)

    return Report(
        name="accept",
        measures="orders accepted a second with the whole pipeline running, and CPU per order, beside the floor",
        settings={"seconds": "15", "rounds": "3", "fsync": "on", "beside": "6034b30", "sync": "always"},
        rows=(
            row(ACCEPTED, "1/s", 1002.0, 980.0, 1127.0),
            row(CARRIED, "1/s", 15_000.0, 15_001.0, 12_000.0),
            row("half load: kitchen to stream, 99 %", "ms", 119.0, 131.0, 82.0),
            row(CPU, "µs", 1763.0, 2074.0, 1397.0),
            *(row(f"  {process}", "µs", 487.0, 558.0, 393.0) for process in PROCESSES),
            row(PIECE, "µs", 987.0, 1003.0, 1203.0),
            row("machine: stolen", "%", 0.04, 0.05, 5.0),
        ),
        ratios=(
            Ratio(what="CPU per order, of the floor at 6034b30", values=Series((0.9, 1.1)), target=1.0),
            Ratio(what="CPU per order, product: of that at 6034b30", values=Series((0.67,))),
        ),
        remarks=("A round of two of each at 6034b30 was discarded: 12 % was stolen while it ran there.",),
    )


def shown(report: Report) -> list[str]:
    text = io.StringIO()
    show(report, Console(file=text, width=WIDTH))
    return text.getvalue().splitlines()


@pytest.mark.parametrize("names", [FOUR, LONG], ids=["four", "long names"])
def test_four_contenders_are_readable_in_80_columns(names: tuple[str, ...]) -> None:
    report = report_of(names)
    lines = shown(report)
    assert max(map(len, lines)) <= WIDTH
    assert "…" not in "".join(lines)
    figures = [found for line in lines if (found := FIGURE.findall(line))]
    assert figures == [[row.by[name].brief for name in names] for row in report.rows]


@pytest.mark.parametrize("names", [FOUR, LONG], ids=["four", "long names"])
def test_each_contenders_name_is_complete_above_its_figures(names: tuple[str, ...]) -> None:
    lines = shown(report_of(names))
    rule = next(number for number, line in enumerate(lines) if "───" in line)
    head = [line.replace(FIGURES_ARE, " " * len(FIGURES_ARE)) for line in lines[2:rule]]
    ends = [match.end() for match in FIGURE.finditer(lines[rule + 1])]
    for name, start, end in zip(names, (0, *ends), ends, strict=False):
        assert " ".join(line[start:end].strip() for line in head).split() == name.split()


def test_a_figure_without_a_target_is_shown_and_counts_as_met() -> None:
    lines = [line.rstrip() for line in shown(report_of(FOUR))]
    assert "  CPU per order, product: of that at 6034b30: 0.67" in lines
    assert Ratio(what="cpu", values=Series((9.0,))).is_met


def test_a_spread_is_a_share_of_the_median() -> None:
    assert Series((100.0, 98.0, 110.0)).brief == "100 ±10%"
    assert Series((100.0,)).brief == "100"
    assert Series((0.0, 0.0, 5.0)).brief == "0.00"
    assert Series((0.01, 0.01, 500.0)).brief == "0.01 ±999%"
