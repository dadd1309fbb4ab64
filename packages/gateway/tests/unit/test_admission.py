"""How many orders may be under way: fewer while each waits for those before it."""

from types import SimpleNamespace
from typing import Any

import pytest

from cafeteria.chassis.errors import Overloaded
from cafeteria.gateway import views
from cafeteria.gateway.service.admission import Admission
from cafeteria.gateway.views import Backlog


def under_way(*, waiting: int = 0, pending: int = 0, behind: int = 0, is_moving: bool = False) -> Admission:
    backlog = Backlog()
    if is_moving:
        backlog.settled(0)
    backlog.counted(pending)
    intake: Any = SimpleNamespace(waiting=waiting)
    relay: Any = SimpleNamespace(behind=behind)
    return Admission(intake=intake, backlog=backlog, relay=relay, limit=100)


@pytest.mark.parametrize(
    "orders",
    [
        {"waiting": 100},
        {"pending": 100},
        {"behind": 200},
        {"waiting": 30, "pending": 30, "behind": 80},
        {"waiting": 50, "is_moving": True},
        {"waiting": 20, "pending": 20, "behind": 20, "is_moving": True},
    ],
)
def test_past_the_limit_nobody_comes_in(orders: dict[str, Any]) -> None:
    with pytest.raises(Overloaded):
        under_way(**orders).check()


@pytest.mark.parametrize(
    "orders",
    [
        {},
        {"waiting": 30, "pending": 30, "behind": 78},
        {"pending": 99},
        {"pending": 49, "is_moving": True},
    ],
)
def test_below_it_everybody_does(orders: dict[str, Any]) -> None:
    under_way(**orders).check()


def test_stock_that_has_decided_nothing_for_a_while_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backlog = Backlog()
    backlog.settled(1)
    assert backlog.is_moving
    later = views.monotonic() + views.MOVING_S
    monkeypatch.setattr(views, "monotonic", lambda: later)
    assert not backlog.is_moving
