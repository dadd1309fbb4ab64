"""Two commits on real servers: each measured by what its own environment runs."""

import shutil
from pathlib import Path

import pytest

from cafeteria.rush.bench import accept, beside
from cafeteria.rush.bench.options import Options
from cafeteria.rush.bench.tables import ACCEPTED, CPU
from cafeteria.rush.bench.work_tree import find_commit, output_of


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
