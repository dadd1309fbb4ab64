"""How many orders may be under way: few where more come than can be served, many where a crowd came at once."""

from types import SimpleNamespace
from typing import Any

import pytest

from cafeteria.chassis.errors import Overloaded
from cafeteria.gateway import views
from cafeteria.gateway.service import admission
from cafeteria.gateway.service.admission import PATIENCE_S, Admission
from cafeteria.gateway.views import MOVING_S, Backlog

LIMIT, FEW = 120, 20


class Scene:
    """A gateway without anything but its numbers, and a clock that is moved by hand."""

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

    def last(self, seconds: float, **orders: Any) -> list[bool]:
        """Who comes ten times a second is refused or not."""
        answers = []
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            answers.append(self.is_refused(**orders))
        return answers


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene()
    monkeypatch.setattr(admission, "monotonic", lambda: scene.now_s)
    monkeypatch.setattr(views, "monotonic", lambda: scene.now_s)
    scene.admission = Admission(intake=scene.intake, backlog=scene.backlog, relay=scene.relay, limit=LIMIT)
    return scene


def test_a_crowd_that_comes_at_once_comes_in_up_to_the_limit(scene: Scene) -> None:
    assert not any(scene.last(0.5, waiting=LIMIT - 1, stock_decides=True))
    assert scene.is_refused(waiting=LIMIT)


def test_those_that_wait_to_be_written_and_to_be_decided_count_alike(scene: Scene) -> None:
    scene.backlog.counted(LIMIT // 2)
    assert not scene.is_refused(waiting=LIMIT // 2 - 1)
    assert scene.is_refused(waiting=LIMIT // 2)


def test_where_more_come_than_can_be_served_few_wait(scene: Scene) -> None:
    answers = scene.last(3 * PATIENCE_S, waiting=FEW, stock_decides=True)
    assert not answers[0]
    assert all(answers[-10:])
    assert not scene.is_refused(waiting=FEW - 1, stock_decides=True)
    assert scene.is_refused(waiting=FEW, stock_decides=True)


def test_after_a_while_without_a_refusal_a_crowd_may_come_again(scene: Scene) -> None:
    scene.last(3 * PATIENCE_S, waiting=FEW, stock_decides=True)
    scene.last(1.5 * PATIENCE_S, waiting=1, stock_decides=True)
    assert not scene.is_refused(waiting=LIMIT - 1, stock_decides=True)


def test_while_stock_is_silent_as_many_wait_as_may(scene: Scene) -> None:
    scene.is_refused(stock_decides=True)
    scene.now_s += MOVING_S
    assert not any(scene.last(10, waiting=LIMIT - 1))


def test_what_is_not_carried_yet_is_half_as_many(scene: Scene) -> None:
    scene.relay.behind = LIMIT - 1  # messages, two for an order
    assert not scene.is_refused()
    scene.relay.behind = LIMIT
    assert scene.is_refused()


def test_the_smallest_limit_lets_one_in(scene: Scene) -> None:
    scene.admission = Admission(intake=scene.intake, backlog=scene.backlog, relay=scene.relay, limit=1)
    assert not any(scene.last(3, stock_decides=True))
