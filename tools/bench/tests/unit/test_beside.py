"""A benchmark of another commit beside ours: its report is read, and both become one report."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cafeteria.bench import __main__ as command
from cafeteria.bench import beside, work_tree
from cafeteria.bench.generator import BenchError
from cafeteria.bench.options import Options
from cafeteria.bench.report import Ratio, Report, Row, Series, row_of
from cafeteria.bench.tables import ACCEPTED, CARRIED, CPU, PIECE

OLD = beside.OLD_FLOOR
WRITTEN_AT_6034B30 = b"""{"name":"accept","measures":"orders","settings":{"seconds":"6","rounds":"1","capacity":"600"},
"rows":[{"what":"orders accepted","unit":"1/s","by":{"floor":{"values":[1002.0]},"product":{"values":[872.0]}}}],
"ratios":[{"what":"accepted","values":{"values":[0.87]},"target":0.75,"at_least":true,"unit":""}],"remarks":["A round was repeated."]}"""


def report_of(
    accepted: dict[str, float], cpu: dict[str, float], *, slow: float = 1.0, **settings: str
) -> Report:
    def row(what: str, unit: str, figures: dict[str, float]) -> Row:
        return row_of(what, unit, {name: [value] for name, value in figures.items()})

    return Report(
        name="accept",
        measures="orders",
        settings={"rounds": "1", **settings},
        rows=(
            row(ACCEPTED, "1/s", accepted),
            row(CARRIED, "1/s", accepted),
            row(CPU, "µs", cpu),
            row(PIECE, "µs", dict.fromkeys(cpu, 1000.0 * slow)),
        ),
        ratios=(
            Ratio(what="of the floor", values=Series((accepted["product"] / accepted["floor"],)), target=0.8),
        ),
    )


OURS = report_of({"floor": 1250.0, "product": 1100.0}, {"floor": 1397.0, "product": 1600.0})
THEIRS = report_of({"floor": 1002.0, "product": 872.0}, {"floor": 1763.0, "product": 2074.0})


def test_a_report_that_an_older_commit_wrote_is_read() -> None:
    report = msgspec.json.decode(WRITTEN_AT_6034B30, type=Report)
    assert report.row(ACCEPTED).by["product"].median == 872.0
    assert report.ratios[0].target == 0.75


def test_a_report_survives_writing_and_reading() -> None:
    assert msgspec.json.decode(msgspec.json.encode(OURS), type=Report) == OURS


def test_the_rounds_of_a_benchmark_become_one_report() -> None:
    more = report_of({"floor": 1000.0, "product": 900.0}, {"floor": 1400.0, "product": 1500.0})
    remark = "product, round 1: an order is missing."
    whole = beside.of_all_rounds([OURS, msgspec.structs.replace(more, remarks=(remark,))])
    assert whole.row(ACCEPTED).by["product"].values == (1100.0, 900.0)
    assert whole.ratios[0].values.values == (0.88, 0.9)
    assert whole.settings["rounds"] == "2"
    assert whole.remarks == (f"Round 2: {remark}",)


def test_contenders_of_the_other_commit_are_named_after_it() -> None:
    both = beside.side_by_side(OURS, THEIRS, commit=OLD)
    assert both.contenders == ["floor", "product", f"floor at {OLD}", f"product at {OLD}"]
    assert both.row(CPU).by[f"product at {OLD}"].median == 2074.0
    assert both.settings["beside"] == OLD
    assert both.ratios == OURS.ratios


def test_different_figures_and_settings_of_the_other_commit_are_shown_too() -> None:
    theirs = msgspec.json.decode(WRITTEN_AT_6034B30, type=Report)
    theirs = msgspec.structs.replace(theirs, rows=(*theirs.rows, row_of("streams", "", {"product": [1.0]})))
    both = beside.side_by_side(OURS, theirs, commit=OLD)
    assert both.row("streams").by == {f"product at {OLD}": Series((1.0,))}
    assert both.settings[f"capacity at {OLD}"] == "600"
    assert f"rounds at {OLD}" not in both.settings
    assert both.remarks == (f"At {OLD}: A round was repeated.",)


def test_two_commits_are_compared_by_cpu_as_if_the_machine_had_been_equally_fast() -> None:
    slow = report_of(
        {"floor": 501.0, "product": 436.0}, {"floor": 3526.0, "product": 4148.0}, slow=2.0
    )  # the same work on a machine half as fast
    for theirs in (THEIRS, slow):
        ratios = {
            each.what: each
            for each in beside.compare(beside.side_by_side(OURS, theirs, commit=OLD), commit=OLD)
        }
        assert ratios[f"CPU per order, product: of that at {OLD}"].values.median == pytest.approx(1600 / 2074)
        of_floor = ratios[f"orders accepted, of the floor at {OLD}"]
        assert of_floor.values.median == pytest.approx(1100 / 1002)
        assert of_floor.target == 1.05
        assert ratios[f"CPU per order, of the floor at {OLD}"].goal == "at most 1"


def test_only_the_comparison_with_the_old_floor_has_targets() -> None:
    both = beside.side_by_side(OURS, THEIRS, commit="1234567")
    ratios = list(beside.compare(both, commit="1234567"))
    assert [each.what for each in ratios] == [
        "CPU per order, floor: of that at 1234567",
        "CPU per order, product: of that at 1234567",
    ]
    assert {each.target for each in ratios} == {None}


def test_a_benchmark_without_cpu_per_order_has_no_ratios_between_commits() -> None:
    start = Report(
        name="start", measures="a start", settings={}, rows=(row_of("start", "s", {"product": [9.0]}),)
    )
    assert list(beside.compare(beside.side_by_side(start, start, commit=OLD), commit=OLD)) == []


def test_the_other_commit_gets_the_same_options_except_our_data_directory(tmp_path: Path) -> None:
    options = Options(seconds=6.0, rounds=4, connections=8, lock=tmp_path / "lock", home=tmp_path / "home")
    assert beside._arguments(options) == [
        *("--rounds", "1", "--seconds", "6.0", "--connections", "8", "--lock", str(tmp_path / "lock"))
    ]
    assert beside._arguments(Options()) == ["--rounds", "1"]


def test_an_option_chooses_the_commit_to_compare_with() -> None:
    assert command._arguments(["accept", "--beside", OLD]).beside == OLD
    assert command._arguments(["accept"]).beside is None


class FakeBenchmark:
    """A benchmark that records the order of its runs."""

    NAME = "accept"
    MEASURES = "orders"

    def __init__(self) -> None:
        self.runs: list[str] = []

    async def run(self, options: Options) -> Report:
        assert options.rounds == 1
        self.runs.append("ours")
        return OURS


async def test_rounds_of_the_two_commits_are_interleaved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    benchmark = FakeBenchmark()

    async def there(tree: work_tree.WorkTree, name: str, options: Options) -> Report:
        assert (tree.name, name) == (OLD, "accept")
        benchmark.runs.append("theirs")
        return THEIRS

    async def tree_of(commit: str) -> work_tree.WorkTree:
        return work_tree.WorkTree(name=commit, root=tmp_path, interpreter=tmp_path)

    monkeypatch.setattr(beside, "_run_at", there)
    monkeypatch.setattr(beside, "work_tree", tree_of)
    report = await beside.run(benchmark, Options(rounds=2), commit=OLD)
    assert benchmark.runs == ["ours", "theirs", "ours", "theirs"]
    assert report.row(ACCEPTED).by[f"floor at {OLD}"].values == (1002.0, 1002.0)
    assert len(report.ratios) == 1 + 2 + 3


Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """A repository of two commits whose `./just` writes a report and records its arguments."""
    root = tmp_path / "repository"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("CAFETERIA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UV_NO_SYNC", "1")

    def run(*arguments: str) -> str:
        names = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ("git", *names, *arguments), check=True, capture_output=True, text=True
        ).stdout.strip()

    run("init", "--quiet")
    (root / "just").write_text(SCRIPT)
    (root / ".gitignore").write_text("calls\n")
    run("add", ".")
    run("commit", "--quiet", "--message", "one")
    (root / "just").write_text("exit 3\n")
    run("commit", "--quiet", "--all", "--message", "two")
    return run


SCRIPT = f"""
[ -z "$UV_NO_SYNC" ] || exit 4
echo "$@" >> calls
case "$1" in
    bench) while [ "$1" != --results ]; do shift; done; cat > "$2/accept.json" <<'END'
{WRITTEN_AT_6034B30.decode()}
END
    ;;
esac
"""


async def test_another_commit_runs_its_own_benchmark_in_its_own_tree(git: Git) -> None:
    tree = await work_tree.work_tree("HEAD~1")
    assert tree.name == git("rev-parse", "HEAD~1")[:7]
    assert (await beside._run_at(tree, "accept", Options(seconds=1.0))).row(ACCEPTED).by[
        "floor"
    ].median == 1002.0
    assert (tree.root / "calls").read_text().splitlines()[0] == "--list"
    assert "bench accept --rounds 1 --seconds 1.0 --results " in (tree.root / "calls").read_text()


async def test_a_tree_is_used_again_if_it_is_intact_and_made_again_if_not(git: Git) -> None:
    tree = await work_tree.work_tree("HEAD~1")
    (tree.root / "made-by-a-build").touch()
    assert await work_tree.work_tree("HEAD~1") == tree
    assert (tree.root / "made-by-a-build").exists()
    (tree.root / "just").write_text("exit 5\n")
    assert await work_tree.work_tree("HEAD~1") == tree
    assert (tree.root / "just").read_text() == SCRIPT
    shutil.rmtree(tree.root)  # git still lists it as a work tree
    assert await work_tree.work_tree("HEAD~1") == tree


async def test_a_missing_or_broken_commit_is_reported_in_a_sentence(git: Git) -> None:
    with pytest.raises(BenchError, match="has no commit --output=x: name one that `git log` shows"):
        await work_tree.work_tree("--output=x")
    with pytest.raises(BenchError, match=r"could not be made: `./just` ended with 3"):
        await work_tree.work_tree("HEAD")


async def test_a_missing_or_invalid_report_is_reported_in_a_sentence(git: Git) -> None:
    tree = await work_tree.work_tree("HEAD~1")
    with pytest.raises(BenchError, match=r"`just bench through` at \w{7} wrote no report; it ended with 0"):
        await beside._run_at(tree, "through", Options())
    (tree.root / "just").write_text(SCRIPT.replace('"name"', '"title"'))
    with pytest.raises(BenchError, match=r"The report of accept at .* cannot be read: .* `name`"):
        await beside._run_at(tree, "accept", Options())


async def test_a_cancelled_run_ends_the_processes_of_the_other_commit(git: Git) -> None:
    tree = await work_tree.work_tree("HEAD~1")
    (tree.root / "just").write_text(
        "trap 'touch ended; exit 130' INT\ntouch began\nwhile :; do sleep 0.05; done\n"
    )
    running = asyncio.create_task(tree.just("bench"))
    async with asyncio.timeout(20):
        while not (tree.root / "began").exists():  # noqa: ASYNC110 - another process creates it
            await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert (tree.root / "ended").exists()
