"""Throughput, latency and faults on one time line, as SVG text for an HTML page, without scripts or other files."""

import io
from collections import Counter, defaultdict
from itertools import pairwise

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cafeteria.faultkit.history import Exchange
from cafeteria.rush.faults import KINDS
from cafeteria.rush.nemesis import Injection
from cafeteria.rush.verdict import Verdict

ANSWERS = {
    201: ("accepted", "#1a7f37"),
    202: ("received, undecided", "#9a6700"),
    409: ("sold out", "#6e7781"),
    503: ("come back later", "#bc4c00"),
    None: ("no answer", "#b42318"),
}
SHARES = {0.5: ("half of the answers", "#0b6bcb"), 0.99: ("99 of 100", "#8250df")}
FAMILY_COLOURS = ("#b42318", "#0b6bcb", "#1a7f37", "#8250df", "#bc4c00", "#6e7781")
MOST_BINS = 300
WIDTH_IN, HEIGHT_IN = 11.0, 9.0


def draw(verdict: Verdict) -> str:
    """Three plots over the same seconds."""
    orders = verdict.history.orders()
    ends_s = max((exchange.ended_at_s for exchange in orders), default=1.0)
    bin_s = max(1.0, ends_s / MOST_BINS)
    with mpl.rc_context({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "cafeteria"}):
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
        axes = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 4))
        _throughput(axes[0], orders, bin_s=bin_s)
        _latency(axes[1], orders, bin_s=bin_s)
        _faults(axes[2], verdict.injections)
        axes[2].set_xlabel("seconds since the start")
        axes[2].set_xlim(left=0)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]


def _throughput(axes: Axes, orders: list[Exchange], *, bin_s: float) -> None:
    counts: defaultdict[int | None, Counter[int]] = defaultdict(Counter)
    for exchange in orders:
        counts[exchange.status][int(exchange.ended_at_s / bin_s)] += 1
    for status, (name, colour) in ANSWERS.items():
        if bins := counts.get(status):
            span = range(max(bins) + 2)
            axes.plot(
                [number * bin_s for number in span],
                [bins[number] / bin_s for number in span],
                label=name,
                color=colour,
                linewidth=1,
                drawstyle="steps-post",
            )
    axes.set_ylabel("answers a second")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", ncols=len(ANSWERS), frameon=False)
    axes.grid(alpha=0.25)


def _latency(axes: Axes, orders: list[Exchange], *, bin_s: float) -> None:
    took: defaultdict[int, list[float]] = defaultdict(list)
    for exchange in orders:
        if exchange.status is not None:
            took[int(exchange.ended_at_s / bin_s)].append(1000 * (exchange.ended_at_s - exchange.sent_at_s))
    bins = sorted(took)
    for share, (name, colour) in SHARES.items():
        values = [sorted(took[number])[int((len(took[number]) - 1) * share)] for number in bins]
        axes.plot([number * bin_s for number in bins], values, label=name, color=colour, linewidth=1)
    axes.set_yscale("log")
    axes.set_ylabel("answered within, ms")
    axes.legend(loc="upper left", ncols=2, frameon=False)
    axes.grid(alpha=0.25)


def _faults(axes: Axes, injections: list[Injection]) -> None:
    """A row for each kind that was injected, kinds of one family in one colour."""
    families = list(dict.fromkeys(fault.family for fault in KINDS.values()))
    rows = [name for name in KINDS if any(injection.name == name for injection in injections)][::-1]
    for injection in injections:
        colour = FAMILY_COLOURS[families.index(KINDS[injection.name].family) % len(FAMILY_COLOURS)]
        axes.barh(
            rows.index(injection.name),
            max(injection.lasted_s, 0.2),
            left=injection.began_at_s,
            color=colour,
            height=0.8,
        )
    for edge, _ in pairwise(range(len(rows) + 1)):
        axes.axhline(edge - 0.5, color="#eeeeee", linewidth=0.5, zorder=0)
    axes.set_yticks(range(len(rows)), labels=rows, fontsize=6)
    axes.set_ylim(-0.6, len(rows) - 0.4)
