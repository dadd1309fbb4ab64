"""The output of a rush: every invariant, the first sentences of each violation, and where logs and data are."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cafeteria.faultkit.history import Exchange, History, Intent
from cafeteria.faultkit.quiescence import Quiescence
from cafeteria.rush import __main__ as command
from cafeteria.rush.footprint import Footprint, growth
from cafeteria.rush.nemesis import Injection
from cafeteria.rush.options import Options
from cafeteria.rush.packing import Packing
from cafeteria.rush.progress import Figures
from cafeteria.rush.report import write
from cafeteria.rush.summary import show
from cafeteria.rush.verdict import Verdict

MEBIBYTE = 2**20


def answer(status: int | None, *, sent_at_s: float, took_s: float = 0.1) -> Exchange:
    return Exchange(
        intent=Intent.ORDER,
        student_id="210041101",
        sent_at_s=sent_at_s,
        ended_at_s=sent_at_s + took_s,
        status=status,
    )


def verdict(**changes: Any) -> Verdict:
    facts: dict[str, Any] = {
        "options": Options(orders=100, faults=2, seed=42),
        "violations": {"I1 the ledger balances": [], "I2 each order took its units": []},
        "skipped": {"I13 memory and descriptors come back": "not asked for"},
        "injections": [
            Injection(number=0, name="kill-stock", began_at_s=1.0, healed_at_s=4.5, detail="stock"),
            Injection(number=1, name="poison", began_at_s=2.0, healed_at_s=2.1, missed="TimeoutError()"),
        ],
        "quiescence": Quiescence(recovered_after_s=1.25, ended_after_s=0.1),
        "lasted_s": 61.0,
        "orders": {"READY": 90, "REJECTED": 10},
        "overtaken": 0,
        "replayed": 400,
        "packing": Packing(sizes=Counter({1: 300, 60: 5}), repacked=2),
        "footprints": {},
        "history": History(exchanges=[answer(201, sent_at_s=n / 10) for n in range(50)]),
        "data_directory": Path("/somewhere"),
    }
    return Verdict(**{**facts, **changes})


def shown(verdict: Verdict) -> str:
    text = io.StringIO()
    show(verdict, Console(file=text, width=200))
    return text.getvalue()


def test_the_table_has_every_invariant_with_its_verdict() -> None:
    output = shown(verdict())
    assert "I1 the ledger balances" in output
    assert output.count("holds") == 2
    assert "not checked: not asked for" in output


def test_the_facts_are_in_the_last_lines() -> None:
    output = " ".join(shown(verdict()).split())
    assert (
        "100 orders (90 READY, 10 REJECTED) and 1 faults in 61 s, 1 more prevented by another fault" in output
    )
    assert "The last order ended 1.2 s after the last fault was healed." in output
    assert (
        "305 messages held 600 items, 60 at most, 5 of them 50 or more; 2 held more at a second try."
        in output
    )
    assert "Seed 42." in output
    assert "/somewhere" not in output


def test_a_violation_shows_its_first_sentences_and_where_logs_and_data_are() -> None:
    output = shown(verdict(violations={"I1 the ledger balances": [f"dish {n} is short" for n in range(9)]}))
    assert "9 violations" in output
    assert "dish 0 is short" in output
    assert "dish 8 is short" not in output
    assert "/somewhere" in output


def test_a_verdict_held_only_without_violations() -> None:
    assert verdict().held
    assert not verdict(violations={"I1": ["no"]}).held


def test_the_report_is_one_self_contained_file(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "rush.html"
    footprint = Footprint(private_bytes=90 * MEBIBYTE, descriptors=30)
    write(verdict(footprints={"gateway": (footprint, footprint)}), path)
    page = path.read_text()
    for part in ("everything held", "kill-stock", "just rush --orders 100", "--seed 42", "<svg", "90.0 MiB"):
        assert part in page
    assert "<script" not in page
    assert "<link" not in page
    assert "src=" not in page


def test_the_report_of_a_broken_promise_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "rush.html"
    write(verdict(violations={"I1": ["<dish> is short"]}), path)
    page = path.read_text()
    assert "the promise was broken" in page
    assert "&lt;dish&gt; is short" in page


def test_a_process_that_grew_by_more_than_a_tenth_is_named() -> None:
    small, tenth, large = (
        Footprint(private_bytes=size * MEBIBYTE, descriptors=20) for size in (100, 109, 111)
    )
    leaking = Footprint(private_bytes=100 * MEBIBYTE, descriptors=40)
    found = list(growth({"stock": (small, tenth), "gateway": (small, large), "kitchen": (small, leaking)}))
    assert found == [
        "gateway held 100.0 MiB when idle and holds 111.0 MiB after more load",
        "kitchen had 20 descriptors when idle and has 40 after more load",
    ]


def test_progress_counts_each_answer_once_and_measures_the_last_ones() -> None:
    figures, exchanges = Figures(), [answer(201, sent_at_s=n, took_s=n / 100) for n in range(10)]
    figures.take(exchanges, now_s=10)
    exchanges.append(answer(None, sent_at_s=9.5))
    figures.take(exchanges, now_s=10)
    assert figures.answers == {201: 10, None: 1}
    assert figures.per_s == 1.0
    assert figures.slowest_ms(0.5) == pytest.approx(80)
    assert figures.slowest_ms(0.99) == pytest.approx(100)


def test_the_command_line_sets_the_options() -> None:
    options = command.options_from(
        ["--orders", "9", "--faults", "3", "--seed", "5", "--replicas", "1", "--only", "poison", "servers"]
    )
    assert (options.orders, options.faults, options.seed, options.replicas) == (9, 3, 5, 1)
    assert options.only == ("poison", "servers")
    assert not options.with_footprint
    assert options.command == (
        "just rush --orders 9 --faults 3 --students 200 --replicas 1 --seed 5 --only poison servers"
    )


def test_a_large_rush_measures_the_processes_unless_switched_off() -> None:
    assert command.options_from(["--orders", "100000"]).with_footprint
    assert not command.options_from(["--orders", "100000", "--no-footprint"]).with_footprint


def test_without_a_seed_there_is_one_to_repeat_it_with() -> None:
    assert 0 <= command.options_from([]).seed < command.LARGEST_SEED


def test_an_unknown_kind_is_refused_with_the_list_of_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.options_from(["--only", "meteor"])
    assert "kill-gateway" in capsys.readouterr().err
