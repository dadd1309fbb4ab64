"""Load shedding: few orders may wait under sustained overload, many after a single burst."""

from types import SimpleNamespace
from typing import Any

import pytest

from cafeteria.chassis.runtime.errors import Overloaded
from cafeteria.gateway import views
from cafeteria.gateway.service import admission
from cafeteria.gateway.service.admission import PATIENCE_S, Admission
from cafeteria.gateway.views import MOVING_S, Backlog

LIMIT, FEW = 120, 20


class FakeLoad:
    """An Admission over fake numbers of waiting orders, and a clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.intake: Any = SimpleNamespace(waiting=0)
        self.relay: Any = SimpleNamespace(behind=0)
        self.backlog = Backlog()
        self.admission: Any = None

    def is_refused(self, *, waiting: int = 0, stock_decides: bool = False) -> bool:
        self.intake.waiting = waiting
        if stock_decides:
            self.backlog.settled(0)
        try:
            self.admission.check()
        except Overloaded:
            return True
        return False

    def run(self, seconds: float, **orders: Any) -> list[bool]:
        """Check ten times a second for `seconds`; True for each refusal."""
        answers = []
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            answers.append(self.is_refused(**orders))
        return answers


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> FakeLoad:
    load = FakeLoad()
    monkeypatch.setattr(admission, "monotonic", lambda: load.now_s)
    monkeypatch.setattr(views, "monotonic", lambda: load.now_s)
    load.admission = Admission(intake=load.intake, backlog=load.backlog, relay=load.relay, limit=LIMIT)
    return load


def test_a_burst_is_accepted_up_to_the_limit(load: FakeLoad) -> None:
    assert not any(load.run(0.5, waiting=LIMIT - 1, stock_decides=True))
    assert load.is_refused(waiting=LIMIT)


def test_orders_that_wait_to_be_written_and_to_be_decided_count_alike(load: FakeLoad) -> None:
    load.backlog.counted(LIMIT // 2)
    assert not load.is_refused(waiting=LIMIT // 2 - 1)
    assert load.is_refused(waiting=LIMIT // 2)


def test_under_sustained_overload_a_sixth_of_the_limit_may_wait(load: FakeLoad) -> None:
    answers = load.run(3 * PATIENCE_S, waiting=FEW, stock_decides=True)
    assert not answers[0]
    assert all(answers[-10:])
    assert not load.is_refused(waiting=FEW - 1, stock_decides=True)
    assert load.is_refused(waiting=FEW, stock_decides=True)


def test_after_a_while_without_a_refusal_a_burst_is_accepted_again(load: FakeLoad) -> None:
    load.run(3 * PATIENCE_S, waiting=FEW, stock_decides=True)
    load.run(1.5 * PATIENCE_S, waiting=1, stock_decides=True)
    assert not load.is_refused(waiting=LIMIT - 1, stock_decides=True)


def test_while_stock_does_not_answer_the_full_limit_may_wait(load: FakeLoad) -> None:
    load.is_refused(stock_decides=True)
    load.now_s += MOVING_S
    assert not any(load.run(10, waiting=LIMIT - 1))


def test_half_as_many_accepted_orders_may_wait_for_the_relay(load: FakeLoad) -> None:
    load.relay.behind = LIMIT - 1  # messages, two for an order
    assert not load.is_refused()
    load.relay.behind = LIMIT
    assert load.is_refused()


def test_the_smallest_limit_accepts_one_order(load: FakeLoad) -> None:
    load.admission = Admission(intake=load.intake, backlog=load.backlog, relay=load.relay, limit=1)
    assert not any(load.run(3, stock_decides=True))
