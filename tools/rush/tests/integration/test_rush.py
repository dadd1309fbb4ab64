"""`just rush` in its short form: students order on a real system while parts of it fail, and everything is checked."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.rush import __main__ as command
from cafeteria.rush.campaign import Campaign
from cafeteria.rush.options import Options
from cafeteria.rush.progress import Progress
from cafeteria.rush.summary import show
from cafeteria.rush.verdict import Verdict

pytestmark = pytest.mark.timeout(600)  # the first test waits for the whole rush
SEED = 20260318
KINDS = (
    "kill-stock",
    "nats-wipe",
    "backends-terminated",
    "postgres-cut",
    "nats-replies-lost",
    "messages-duplicated",
    "poison",
    "poison-item",
    "streams-dropped",
)
OPTIONS = Options(orders=300, faults=6, seed=SEED, students=30, replicas=1, only=KINDS)


@pytest.fixture(scope="module")
async def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="module")
async def verdict(output: io.StringIO, fork_server: ForkServer) -> Verdict:
    async with Progress(Console(file=output, width=160)) as progress:
        return await Campaign(OPTIONS, progress, fork_server=fork_server).run()


async def test_nothing_is_lost(verdict: Verdict) -> None:
    sentences = [f"{name}: {sentence}" for name, found in verdict.violations.items() for sentence in found]
    assert verdict.held, "\n".join(sentences[:20])


async def test_the_rush_placed_orders_injected_all_faults_and_replayed_messages(verdict: Verdict) -> None:
    assert sum(verdict.orders.values()) > OPTIONS.orders * 0.7
    assert len(verdict.injected) == OPTIONS.faults
    assert len(verdict.history.observed_statuses) > OPTIONS.orders
    assert 0 < verdict.packing.messages < verdict.packing.items
    assert verdict.packing.items > OPTIONS.orders
    assert verdict.replayed > 0


async def test_data_of_a_rush_without_violations_are_removed(verdict: Verdict) -> None:
    assert not verdict.data_directory.exists()


async def test_the_verdict_is_shown(verdict: Verdict, output: io.StringIO) -> None:
    console = Console(file=output, width=160)
    show(verdict, console)
    assert f"Seed {SEED}." in output.getvalue()


def test_a_violation_makes_the_command_fail(
    verdict: Verdict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    verdict.violations["I1 the ledger balances"] = ["planted"]

    class Finished:
        def __init__(self, *_: object) -> None: ...

        async def run(self) -> Verdict:
            return verdict

    monkeypatch.setattr(command, "Campaign", Finished)
    assert command.main(["--seed", "1", "--report", str(tmp_path / "report.html")]) == 1
    assert "planted" in (tmp_path / "report.html").read_text()
