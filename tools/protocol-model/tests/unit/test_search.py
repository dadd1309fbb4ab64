"""The model keeps every promise with all its guards and breaks one without any single guard, so each is needed."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from cafeteria.protocol_model.__main__ import main
from cafeteria.protocol_model.guards import ALL_FAULTS, ALL_GUARDS, NO_FAULTS, Faults, Guards
from cafeteria.protocol_model.search import examine, first_broken, search

BASE_SEED = 5_000
FEW_SEEDS = range(BASE_SEED, BASE_SEED + 100)
SEEDS = range(BASE_SEED, BASE_SEED + 2_500)
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

SETTLE_IS_SLOW = replace(NO_FAULTS, held=0.001, lost=0.1, pause=0.05, slow_steps=("settle",), always=True)
"""A decision waits for the order's row while another gateway stores the same one, and the student cancels."""
DECIDE_IS_SLOW = replace(NO_FAULTS, held=0.001, slow_steps=("decide",), always=True)
"""Two replicas of stock decide on the same rows."""
ALL_IS_DOUBLED = replace(NO_FAULTS, doubled=0.5, always=True)
"""Both gateways release the same order."""
MINUTES_PASS = replace(NO_FAULTS, long_pause=0.03, lost=0.1, always=True)
"""Stock receives an order for the first time after it has expired."""
STREAMS_ARE_LOST = replace(NO_FAULTS, wipe=0.06, always=True)
"""The bus loses what it had acknowledged."""
SETTLE_MEETS_RECONCILIATION = replace(
    NO_FAULTS, held=0.001, lost=0.7, commit=0.5, pause=0.03, slow_steps=("settle",), always=True
)
"""Reconciliation asks about PENDING; a decision that waited for the order's row is committed before its finding."""
CONSUMERS_DIE = replace(
    NO_FAULTS, crash=0.1, commit=0.1, held=0.03, slow_steps=("enqueue", "project"), always=True
)
"""Replicas are killed while they handle messages. Nothing is wiped, so reconciliation is not needed."""
MESSAGES_ARE_SPLIT = replace(
    NO_FAULTS,
    undecided=1.0,
    pause=0.1,
    crash=0.05,
    held=0.001,
    slow_steps=("enqueue, the rest",),
    always=True,
)
"""Orders are verified together, late; the kitchen dies between the two commits that hold one message's orders."""
REPLIES_ARE_SHORT = replace(NO_FAULTS, undecided=0.4, pause=0.05, always=True)
"""Stock has decided an order and leaves it out of its reply."""
PUBLISHES_ARE_LOST = replace(NO_FAULTS, unstored=0.6, held=0.03, slow_steps=("relay publishes",), always=True)
"""JetStream's answers do not arrive, and more rows come before the second try. Nothing is wiped."""
ROWS_ARE_UNREADABLE = replace(
    NO_FAULTS, unreadable=0.15, held=0.03, slow_steps=("relay publishes",), always=True
)
"""Unreadable rows are packed together with valid ones. Nothing is wiped."""

SHARPER: dict[str, Faults] = {
    "pending_only": SETTLE_IS_SLOW,
    "item_versions": DECIDE_IS_SLOW,
    "released_once": ALL_IS_DOUBLED,
    "expiry": MINUTES_PASS,
    "end_to_end": STREAMS_ARE_LOST,
    "confirms_what_it_read": SETTLE_MEETS_RECONCILIATION,
    "unanswered_stay_pending": REPLIES_ARE_SHORT,
    "id_over_exact_rows": PUBLISHES_ARE_LOST,
    "row_ids_are_unique": PUBLISHES_ARE_LOST,
    "ack_after_commit": CONSUMERS_DIE,
    "ack_after_last_commit": MESSAGES_ARE_SPLIT,
    "neighbours_are_handled": ROWS_ARE_UNREADABLE,
}
"""Faults under which a guard is needed more often than under all faults, so that a hundred seeds are enough."""

LOST_IN_TRANSIT = (
    "id_over_exact_rows",
    "row_ids_are_unique",
    "ack_after_commit",
    "ack_after_last_commit",
    "neighbours_are_handled",
)
OTHERS: dict[str, Guards] = dict.fromkeys(LOST_IN_TRANSIT, ALL_GUARDS.without("end_to_end"))
"""Reconciliation also sends again what is lost without one of these guards, so the test switches it off too."""


def guards_around(name: str) -> Guards:
    return OTHERS.get(name, ALL_GUARDS)


def test_every_promise_is_kept_in_thousands_of_schedules() -> None:
    assert search(SEEDS).broken == {}


@pytest.mark.parametrize("name", ALL_GUARDS.__struct_fields__)
def test_without_a_guard_some_promise_is_broken(name: str) -> None:
    guards, faults = guards_around(name).without(name), SHARPER.get(name, ALL_FAULTS)
    assert first_broken(FEW_SEEDS, guards=guards, faults=faults) is not None


@pytest.mark.parametrize("name", SHARPER)
def test_a_sharper_scenario_breaks_nothing_with_the_guard(name: str) -> None:
    assert first_broken(FEW_SEEDS, guards=guards_around(name), faults=SHARPER[name]) is None


@pytest.mark.parametrize("name", LOST_IN_TRANSIT)
def test_with_reconciliation_what_is_lost_without_a_guard_is_sent_again(name: str) -> None:
    assert first_broken(FEW_SEEDS, guards=ALL_GUARDS.without(name), faults=SHARPER[name]) is None


def test_a_seed_repeats_the_same_trace() -> None:
    first: list[str] = []
    second: list[str] = []
    assert examine(BASE_SEED, trace=first) == examine(BASE_SEED, trace=second)
    assert first == second
    assert any("receive" in line for line in first)


def test_a_trace_does_not_change_the_result() -> None:
    guards = ALL_GUARDS.without("idempotency_row")
    trace: list[str] = []
    assert examine(BASE_SEED, guards=guards) == examine(BASE_SEED, guards=guards, trace=trace)


def test_the_command_reports_that_every_promise_was_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schedules", "30", "--seed", "7", "--jobs", "1"]) == 0
    assert "30 schedules from seed 7" in capsys.readouterr().out


def test_the_command_names_the_seed_that_broke_a_promise(capsys: pytest.CaptureFixture[str]) -> None:
    without = ["--without", "idempotency_row"]
    assert main(["--schedules", "300", "--seed", "7", "--jobs", "2", *without]) == 1
    found = re.search(r"--replay (\d+) --without idempotency_row", capsys.readouterr().out)
    assert found is not None
    assert main(["--replay", found[1], *without]) == 1
    assert "orders under key" in capsys.readouterr().out


def test_the_readme_names_every_guard() -> None:
    section = README.partition("\n## Guards\n")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)
    assert named == list(ALL_GUARDS.__struct_fields__)
