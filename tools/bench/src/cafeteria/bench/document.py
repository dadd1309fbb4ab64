"""`python -m cafeteria.bench.document RESULTS FOLDER`: write reports as one page of tables and some pictures.

Drawing needs the extra `report` (matplotlib).
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cafeteria.bench import curve
from cafeteria.bench.report import Report, Series
from cafeteria.bench.tables import ACCEPTED, CPU, PROCESSES, RATE

WIDTH_IN = 9.0
COLOURS = ("#0b6bcb", "#8250df", "#bc4c00", "#1a7f37", "#6e7781", "#9a6700", "#b42318")
CURVES = {
    CPU: "µs",
    ACCEPTED: RATE,
    curve.FLUSHES: "",
    curve.DISK: "",
    curve.MEDIAN: "ms",
    curve.P99: "ms",
}
MET, MISSED = "#1a7f37", "#b42318"


def main(argv: Sequence[str]) -> int:
    results, folder = map(Path, argv)
    reports = [msgspec.json.decode(path.read_bytes(), type=Report) for path in sorted(results.glob("*.json"))]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.md").write_text(_page(reports))
    with mpl.rc_context({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "cafeteria"}):
        _save(_cpu_picture(reports), folder / "cpu.svg")
        _save(_target_picture(reports), folder / "targets.svg")
        for report in reports:
            if report.name == curve.NAME:
                _save(_curve_picture(report), folder / "curve.svg")
    return 0


def _page(reports: Sequence[Report]) -> str:
    parts = [
        "# Measured figures\n\nWritten by `python -m cafeteria.bench.document`; medians, with the spread.\n"
    ]
    return "\n".join([*parts, *map(_section, reports)])


def _section(report: Report) -> str:
    names = report.contenders
    lines = [f"## {report.name}\n", f"{report.measures[0].upper()}{report.measures[1:]}.\n"]
    lines += [f"| | unit | {' | '.join(names)} |", "|---|---|" + "---:|" * len(names)]
    for row in report.rows:
        cells = " | ".join(str(row.by.get(name, "")) for name in names)
        lines.append(f"| {row.what.strip()} | {row.unit} | {cells} |")
    lines.append("")
    for ratio in report.ratios:
        mark = "met" if ratio.is_met else "**missed**"
        judged = f" ({ratio.goal}: {mark})" if ratio.goal else ""
        lines.append(f"- {ratio.what}: {ratio.values} {ratio.unit}".rstrip() + judged)
    lines += [f"- {remark}" for remark in report.remarks]
    lines.append("\n" + ", ".join(f"{name} {value}" for name, value in report.settings.items()) + "\n")
    return "\n".join(lines)


def _cpu_picture(reports: Sequence[Report]) -> Figure:
    """Draw the CPU of one order by process, of every contender in the reports that have it."""
    with_cpu = [report for report in reports if any(row.what == CPU for row in report.rows)]
    bars = [(report, name) for report in with_cpu for name in report.row(CPU).by]
    figure = Figure(figsize=(WIDTH_IN, 0.35 * len(bars) + 1.2), layout="constrained")
    axes = figure.subplots()
    left = [0.0] * len(bars)
    for process, colour in zip(PROCESSES, COLOURS, strict=True):
        widths = [report.row(f"  {process}").by[name].median for report, name in bars]
        axes.barh(range(len(bars)), widths, left=left, color=colour, label=process, height=0.7)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    _name_bars(axes, [f"{report.name}: {name}" for report, name in bars])
    axes.set_xlabel("µs of CPU for one order")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(PROCESSES), frameon=False)
    return figure


def _target_picture(reports: Sequence[Report]) -> Figure:
    """Draw each figure as a share of its target: at least 1, or at most 1, meets it."""
    judged = [(report, ratio, ratio.target) for report in reports for ratio in report.ratios if ratio.target]
    found = [(report, ratio) for report, ratio, _ in judged]
    shares = [ratio.values.median / target for _, ratio, target in judged]
    figure = Figure(figsize=(WIDTH_IN, 0.3 * len(found) + 0.8), layout="constrained")
    axes = figure.subplots()
    colours = [MET if ratio.is_met else MISSED for _, ratio in found]
    axes.barh(range(len(found)), shares, color=colours, height=0.7)
    axes.axvline(1.0, color="#24292f", linewidth=1)
    axes.set_xlim(0, min(4.0, max(shares, default=1.0) * 1.05))
    _name_bars(
        axes,
        [
            f"{report.name}: {ratio.what} ({'≥' if ratio.at_least else '≤'} {ratio.target:g})"
            for report, ratio in found
        ],
    )
    axes.set_xlabel("share of the target")
    return figure


def _curve_picture(report: Report) -> Figure:
    """Draw six figures over the offered rates: a line for each contender, with the minimum and maximum of its rounds."""
    figure = Figure(figsize=(WIDTH_IN, 9.0), layout="constrained")
    panels = figure.subplots(3, 2, sharex=True).flat
    for axes, (what, unit) in zip(panels, CURVES.items(), strict=True):
        for name, colour in zip(report.contenders, COLOURS, strict=False):
            _draw_line(
                axes, [report.row(curve.row_name(rate, what)).by[name] for rate in curve.RATES], name, colour
            )
        axes.set_title(f"{what}, {unit}" if unit else what)
        axes.set_xticks(range(len(curve.RATES)), labels=[curve.label(rate) for rate in curve.RATES])
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
    figure.axes[0].legend(frameon=False)
    return figure


def _draw_line(axes: Axes, points: Sequence[Series], name: str, colour: str) -> None:
    medians = [each.median for each in points]
    below = [each.median - min(each.values) for each in points]
    above = [max(each.values) - each.median for each in points]
    axes.errorbar(
        range(len(points)), medians, yerr=(below, above), color=colour, label=name, marker="o", capsize=3
    )


def _name_bars(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), labels=names)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.25)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
