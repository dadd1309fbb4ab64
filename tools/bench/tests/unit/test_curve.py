"""The cost of an order at different rates: the sweep's JSON, its report, and its picture."""

import sys
from pathlib import Path

import msgspec
import pytest

from cafeteria.bench import beside, curve, document, rate_sweep, work_tree
from cafeteria.bench.generator import BenchError
from cafeteria.bench.options import Options
from cafeteria.bench.rate_sweep import FULL_LOAD, Point, Sweep
from cafeteria.bench.report import Report, save
from cafeteria.bench.tables import CPU

OLD = beside.OLD_FLOOR
OLD_PRODUCT = f"product at {OLD}"
SWEEP = Sweep(rates=curve.RATES, seconds=10.0, connections=64)


def point(rate: int, *, cost: float = 1.0, slow: float = 1.0) -> Point:
    """All offered orders are accepted, at full load 1,000; an order costs 2 ms of CPU and two flushes."""
    accepted = 10 * (rate or 100)
    return Point(
        rate=rate,
        seconds=10.0,
        accepted=accepted,
        p50_ms=20.0,
        p99_ms=50.0,
        cpu_s={"gateway": 0.001 * cost * slow * accepted, "nats": 0.001 * cost * slow * accepted},
        wal_syncs=1.5 * cost * accepted,
        stored=0.5 * cost * accepted,
        disk_flushes=3.0 * cost * accepted,
        piece_us=1000.0 * slow,
        steal=0.0,
        others=0.0,
        errors=[],
    )


def report_of(commit: str = OLD, *, disks: float = 1.0) -> Report:
    """Our orders cost half as much as those of the other commit, on a machine half as fast."""

    def points_of(cost: float, slow: float) -> list[Point]:
        points = [point(rate, cost=cost, slow=slow) for rate in curve.RATES]
        return [msgspec.structs.replace(each, disk_flushes=each.disk_flushes * disks) for each in points]

    points = {"product": [points_of(0.5, 2.0)], f"product at {commit}": [points_of(1.0, 1.0)]}
    return curve.report_of(points, SWEEP, remarks=[], commit=commit)


def test_sweeps_and_points_survive_writing_and_reading() -> None:
    for value, of in ((SWEEP, Sweep), ([point(50), point(FULL_LOAD)], list[Point])):
        assert msgspec.json.decode(msgspec.json.encode(value), type=of) == value


def test_the_report_has_the_cost_of_one_order_at_each_rate() -> None:
    report = report_of()
    for rate in curve.RATES:
        assert report.row(curve.row_name(rate, CPU)).by[OLD_PRODUCT].median == pytest.approx(2000.0)
        assert report.row(curve.row_name(rate, curve.FLUSHES)).by[OLD_PRODUCT].median == 2.0
    assert report.row("100/s: orders accepted").by["product"].median == 100.0


def test_the_two_commits_are_compared_as_if_the_machine_had_been_equally_fast() -> None:
    ratios = {each.what: each for each in report_of().ratios}
    assert ratios[f"full load: CPU per order, of that at {OLD}"].values.median == pytest.approx(0.5)
    assert ratios[f"full load: CPU per order, of that at {OLD}"].goal == "at most 0.85"
    assert ratios[f"200/s: flushes per order, of that at {OLD}"].goal == "at most 0.6"
    assert ratios[f"200/s: flushes of the disks per order, of that at {OLD}"].goal == "at most 0.6"
    assert f"400/s: flushes per order, of that at {OLD}" not in ratios
    assert {each.target for each in report_of("1234567").ratios} == {None}


def test_flushes_are_not_compared_where_the_system_does_not_count_them() -> None:
    compared = {each.what for each in report_of(disks=0.0).ratios}
    assert f"50/s: flushes per order, of that at {OLD}" in compared
    assert f"50/s: flushes of the disks per order, of that at {OLD}" not in compared


async def test_rounds_of_the_present_and_the_other_commit_are_interleaved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []

    async def measure(tree: work_tree.WorkTree, plan: Sweep) -> list[Point]:
        order.append(tree.name)
        return [point(rate) for rate in plan.rates]

    async def tree_of(commit: str) -> work_tree.WorkTree:
        return work_tree.WorkTree(name=commit, root=Path(), interpreter=Path())

    monkeypatch.setattr(curve, "measure", measure)
    monkeypatch.setattr(curve, "work_tree", tree_of)
    report = await curve.run(Options(rounds=2))
    assert order == ["present", OLD, "present", OLD]
    assert report.contenders == ["product", OLD_PRODUCT]


async def test_without_the_default_commit_the_present_is_measured_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def measure(tree: work_tree.WorkTree, plan: Sweep) -> list[Point]:
        lost = msgspec.structs.replace(point(50), errors=["an order is missing"])
        return [lost if rate == 50 else point(rate) for rate in plan.rates]

    async def no_tree(commit: str) -> work_tree.WorkTree:
        raise BenchError(f"There is no {commit}.")

    monkeypatch.setattr(curve, "measure", measure)
    monkeypatch.setattr(curve, "work_tree", no_tree)
    report = await curve.run(Options(rounds=1))
    assert (report.contenders, report.ratios) == (["product"], ())
    assert report.remarks == (
        f"Measured alone. There is no {OLD}.",
        "product, round 1, 50/s: an order is missing.",
    )
    with pytest.raises(BenchError, match="There is no HEAD~1"):
        await curve.run(Options(beside="HEAD~1"))


async def test_a_failed_sweep_is_reported_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys; sys.exit(3)")
    tree = work_tree.WorkTree(name="present", root=tmp_path, interpreter=Path(sys.executable))
    monkeypatch.setattr(rate_sweep, "__file__", str(script))
    with pytest.raises(BenchError, match="ended with 3"):
        await curve.measure(tree, SWEEP)


def test_the_curve_becomes_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    save(report_of(), tmp_path / "results")
    assert document.main([str(tmp_path / "results"), str(tmp_path / "pages")]) == 0
    picture = (tmp_path / "pages/curve.svg").read_text()
    assert all(
        text in picture for text in ("50/s", "full load", OLD_PRODUCT, "CPU per order", "flushes per order")
    )
    assert "50/s: CPU per order" in (tmp_path / "pages/figures.md").read_text()
