"""Writes the report: one self-contained HTML file to keep as evidence. Plots need the extra `report`."""

import os
import platform
from collections import defaultdict
from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template

from cafeteria.rush.nemesis import Injection
from cafeteria.rush.packing import Packing
from cafeteria.rush.summary import facts
from cafeteria.rush.verdict import Verdict

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A rush with faults: $outcome</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2326; background: #fff; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid #dde3e6; vertical-align: top; }
td.number, th.number { text-align: right; }
.held { color: #1a7f37; } .broken { color: #b42318; font-weight: 600; } .skipped { color: #8a6d00; }
figure { margin: 1rem 0; overflow-x: auto; } svg { width: 100%; height: auto; min-width: 40rem; }
ul { margin: .2rem 0 .2rem 1.2rem; padding: 0; }
</style></head><body>
<h1>A rush with faults: <span class="$outcome_class">$outcome</span></h1>
<p>$facts</p>
<p><code>$command</code> on $machine.</p>
<h2>What was promised</h2>
<table><tr><th>invariant</th><th>verdict</th></tr>$invariants</table>
<h2>On a time line</h2>
<figure>$plots</figure>
<h2>What was injected</h2>
<table><tr><th>fault</th><th class="number">times</th><th class="number">whole again after, median</th>
<th class="number">longest</th><th class="number">missed</th></tr>$faults</table>
<h2>Items in one message</h2>
$packing
<h2>Memory and descriptors</h2>
$footprint
</body></html>
""")

FIRST_SENTENCES = 5


def write(verdict: Verdict, path: Path) -> None:
    """Write the report. Raises ImportError if the plotting library is not installed."""
    from cafeteria.rush.plots import draw  # noqa: PLC0415 - the extra `report`; most rushes need no plots

    page = _PAGE.substitute(
        outcome="everything held" if verdict.held else "the promise was broken",
        outcome_class="held" if verdict.held else "broken",
        facts=escape(facts(verdict)),
        command=escape(verdict.options.command),
        machine=escape(machine()),
        invariants="".join(_invariant_rows(verdict)),
        plots=draw(verdict),
        faults="".join(_fault_rows(verdict.injections)),
        packing=_packing(verdict.packing),
        footprint=_footprint(verdict),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page)


def machine() -> str:
    """Describe the machine, so that a reader can judge the figures."""
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _invariant_rows(verdict: Verdict) -> Iterable[str]:
    for name, sentences in verdict.violations.items():
        yield f"<tr><td>{escape(name)}</td><td>{_verdict_of(sentences)}</td></tr>"
    for name, reason in verdict.skipped.items():
        yield f'<tr><td>{escape(name)}</td><td class="skipped">not checked: {escape(reason)}</td></tr>'


def _verdict_of(sentences: list[str]) -> str:
    if not sentences:
        return '<span class="held">holds</span>'
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences[:FIRST_SENTENCES])
    return f'<span class="broken">{len(sentences)} violations</span><ul>{items}</ul>'


def _fault_rows(injections: list[Injection]) -> Iterable[str]:
    kinds: defaultdict[str, list[Injection]] = defaultdict(list)
    for injection in injections:
        kinds[injection.name].append(injection)
    for name, injected in sorted(kinds.items()):
        took = sorted(injection.lasted_s for injection in injected if not injection.missed)
        cells = (
            len(took),
            f"{took[len(took) // 2]:.1f} s" if took else "",
            f"{took[-1]:.1f} s" if took else "",
            len(injected) - len(took) or "",
        )
        numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        yield f"<tr><td>{escape(name)}</td>{numbers}</tr>"


def _packing(packing: Packing) -> str:
    rows = "".join(
        f'<tr><td>{size}</td><td class="number">{count:,}</td></tr>' for size, count in packing.histogram()
    )
    return f'<table><tr><th>items</th><th class="number">messages</th></tr>{rows}</table>'


def _footprint(verdict: Verdict) -> str:
    if not verdict.footprints:
        return "<p>Not measured.</p>"
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{before.mebibytes:.1f} MiB</td>'
        f'<td class="number">{after.mebibytes:.1f} MiB</td><td class="number">{before.descriptors}</td>'
        f'<td class="number">{after.descriptors}</td></tr>'
        for name, (before, after) in verdict.footprints.items()
    )
    return (
        '<table><tr><th>process</th><th class="number">idle</th><th class="number">after more load</th>'
        f'<th class="number">descriptors</th><th class="number">after</th></tr>{rows}</table>'
    )
