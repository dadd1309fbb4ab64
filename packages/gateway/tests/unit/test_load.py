"""Load shedding: few orders may wait under sustained overload, many after a single burst."""

from types import SimpleNamespace
from typing import Any

import pytest

from cafeteria.chassis.runtime.errors import Overloaded
from cafeteria.gateway import load as load_module
from cafeteria.gateway.load import BURST_S, MOVING_S, LoadShedding, QueueDepth

LIMIT, FEW = 120, 20


class FakeLoad:
    """Load shedding over fake numbers of waiting orders, and a clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.receiving: Any = SimpleNamespace(pending=0)
        self.relay: Any = SimpleNamespace(remaining_rows=0)
        self.queue_depth = QueueDepth()

    def begin(self, *, limit: int = LIMIT) -> None:
        self.shedding = LoadShedding(self.receiving, self.queue_depth, self.relay, limit=limit)

    def is_refused(self, *, waiting: int = 0, stock_decides: bool = False) -> bool:
        self.receiving.pending = waiting
        if stock_decides:
            self.queue_depth.settled(0)
        try:
            self.shedding.check()
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
    monkeypatch.setattr(load_module, "monotonic", lambda: load.now_s)
    load.begin()
    return load


def test_a_burst_is_accepted_up_to_the_limit(load: FakeLoad) -> None:
    assert not any(load.run(0.5, waiting=LIMIT - 1, stock_decides=True))
    assert load.is_refused(waiting=LIMIT)


def test_orders_that_wait_to_be_written_and_to_be_decided_count_alike(load: FakeLoad) -> None:
    load.queue_depth.counted(LIMIT // 2)
    assert not load.is_refused(waiting=LIMIT // 2 - 1)
    assert load.is_refused(waiting=LIMIT // 2)


def test_under_sustained_overload_a_sixth_of_the_limit_may_wait(load: FakeLoad) -> None:
    answers = load.run(3 * BURST_S, waiting=FEW, stock_decides=True)
    assert not answers[0]
    assert all(answers[-10:])
    assert not load.is_refused(waiting=FEW - 1, stock_decides=True)
    assert load.is_refused(waiting=FEW, stock_decides=True)


def test_after_a_while_without_a_refusal_a_burst_is_accepted_again(load: FakeLoad) -> None:
    load.run(3 * BURST_S, waiting=FEW, stock_decides=True)
    load.run(1.5 * BURST_S, waiting=1, stock_decides=True)
    assert not load.is_refused(waiting=LIMIT - 1, stock_decides=True)


def test_while_stock_does_not_answer_the_full_limit_may_wait(load: FakeLoad) -> None:
    load.is_refused(stock_decides=True)
    load.now_s += MOVING_S
    assert not any(load.run(10, waiting=LIMIT - 1))


def test_half_as_many_accepted_orders_may_wait_for_the_relay(load: FakeLoad) -> None:
    load.relay.remaining_rows = LIMIT - 1  # messages, two for an order
    assert not load.is_refused()
    load.relay.remaining_rows = LIMIT
    assert load.is_refused()


def test_the_smallest_limit_accepts_one_order(load: FakeLoad) -> None:
    load.begin(limit=1)
    assert not any(load.run(3, stock_decides=True))


def test_the_queue_depth_is_adjusted_between_counts_and_never_below_zero() -> None:
    queue_depth = QueueDepth()
    queue_depth.counted(10)
    queue_depth.received(5)
    queue_depth.settled(3)
    assert queue_depth.pending == 12
    queue_depth.settled(20)
    assert queue_depth.pending == 0
