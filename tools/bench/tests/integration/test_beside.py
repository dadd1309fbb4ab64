"""Two commits on real servers, each measured in its own environment."""

import shutil
from pathlib import Path

import pytest

from cafeteria.bench import accept, beside, curve
from cafeteria.bench.options import Options
from cafeteria.bench.rate_sweep import Sweep
from cafeteria.bench.tables import ACCEPTED, CPU
from cafeteria.bench.work_tree import find_commit, output_of, present


@pytest.mark.heavy
@pytest.mark.timeout(600)  # a minute on a busy machine
async def test_a_sweep_measures_the_cpu_and_flushes_of_an_order() -> None:
    [few] = await curve.measure(present(), Sweep(rates=(20,), seconds=1.0, connections=2))
    assert (few.rate, few.accepted, few.errors) == (20, 20, [])
    assert few.cpu_s.keys() >= {"gateway", "stock", "kitchen", "notification", "postgres", "nats"}
    assert min(few.cpu_s["gateway"], few.cpu_s["postgres"], few.wal_syncs, few.stored, few.p50_ms) > 0
    assert few.p50_ms <= few.p99_ms


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk offers the orders")
async def test_a_commit_is_measured_beside_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAFETERIA_HOME", str(tmp_path))  # where its work tree is made
    head = (await find_commit("HEAD"))[:7]
    try:
        report = await beside.run(accept, Options(seconds=1.0, rounds=1, connections=4), commit="HEAD")
    finally:
        shutil.rmtree(tmp_path / "bench")
        await output_of("git", "worktree", "prune")
    names = ["floor", "product", f"floor at {head}", f"product at {head}"]
    assert report.contenders == names
    assert all(report.row(what).by[name].median > 0 for what in (ACCEPTED, CPU) for name in names)
    assert report.settings["beside"] == head
    assert report.remarks == ()
