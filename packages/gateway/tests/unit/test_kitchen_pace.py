"""The kitchen's pace may refuse an order while it is fresh, and counts what was let through since it was taken."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from cafeteria.contracts.kitchen import KitchenMode, Pace
from cafeteria.contracts.problems import ProblemCode
from cafeteria.gateway.kitchen_pace import FRESH_FOR_S, IN_TRANSIT_S, UNKNOWN_WAIT_S, KitchenPace

NOON = datetime(2026, 12, 1, 6, tzinfo=UTC)
PACE = Pace(
    at=NOON,
    is_open=True,
    reopens_at=None,
    delay_s=0,
    mode=KitchenMode.AUTO,
    queued=6,
    in_kitchen=2,
    ready=40,
    stations=2,
    per_min=30.0,
    prep_p50_s=4.0,
    prep_p90_s=6.0,
)


def pace(**change: object) -> Pace:
    return msgspec.structs.replace(PACE, **change)


def heard(limit: int = 0, at_s: float = 0.0, **change: object) -> KitchenPace:
    kitchen_pace = KitchenPace(limit=limit, clock=lambda: NOON)
    kitchen_pace.update(pace(**change), at_s=at_s)
    return kitchen_pace


def let_through(kitchen_pace: KitchenPace, orders: range, *, at_s: float) -> None:
    for number in orders:
        kitchen_pace.let_through(UUID(int=number), at_s=at_s)


def test_nothing_is_refused_before_the_kitchen_was_heard_without_a_limit_or_after_three_seconds() -> None:
    assert KitchenPace(limit=1).refusal(at_s=0) is None
    assert heard(queued=5_000).refusal(at_s=0) is None
    for silent in (heard(limit=1), heard(is_open=False)):
        assert silent.refusal(at_s=FRESH_FOR_S) is not None
        assert silent.refusal(at_s=FRESH_FOR_S + 0.1) is None


@pytest.mark.parametrize(("rest_s", "wait"), [(0.2, "1"), (41.3, "42"), (3600, "60")])
def test_a_pause_ends_by_itself_and_says_when(rest_s: float, wait: str) -> None:
    reopens_at = NOON + timedelta(seconds=rest_s)
    refusal = heard(is_open=False, reopens_at=reopens_at).refusal(at_s=0)
    assert refusal is not None
    assert (refusal.code, refusal.status) == (ProblemCode.INTAKE_PAUSED, 503)
    assert refusal.headers["Retry-After"] == wait
    assert refusal.members["reopens_at"] == reopens_at
    assert f"in {wait} s" in refusal.detail
    assert heard(is_open=False, reopens_at=NOON).refusal(at_s=0) is None


def test_a_pause_without_an_end_is_asked_about_in_a_minute() -> None:
    refusal = heard(is_open=False).refusal(at_s=0)
    assert refusal is not None
    assert (refusal.headers["Retry-After"], refusal.members["reopens_at"]) == ("60", None)


def test_orders_let_through_since_the_pace_count_like_those_in_it() -> None:
    full = heard(limit=10)
    let_through(full, range(2), at_s=0.1)
    refusal = full.refusal(at_s=0.1)
    assert refusal is not None
    assert (refusal.code, refusal.members["orders_in_progress"]) == (ProblemCode.KITCHEN_FULL, 10)
    full.turned_away(UUID(int=0))
    assert full.refusal(at_s=0.1) is None


def test_an_order_counts_until_a_pace_can_have_counted_it() -> None:
    full = heard(limit=10)
    let_through(full, range(3), at_s=1.0)
    full.update(pace(at=NOON + timedelta(seconds=1)), at_s=1.0 + IN_TRANSIT_S / 2)
    assert full.refusal(at_s=1.3) is not None
    full.update(pace(at=NOON + timedelta(seconds=2)), at_s=1.1 + IN_TRANSIT_S)
    assert full.refusal(at_s=1.7) is None


@pytest.mark.parametrize(
    ("queued", "per_min", "wait"), [(8, 30.0, 2), (17, 30.0, 20), (500, 30.0, 60), (17, 0.0, UNKNOWN_WAIT_S)]
)
def test_the_wait_is_what_the_excess_takes_at_the_kitchens_speed(
    queued: int, per_min: float, wait: int
) -> None:
    refusal = heard(limit=10, queued=queued, per_min=per_min).refusal(at_s=0)
    assert refusal is not None
    assert refusal.headers["Retry-After"] == str(wait)


def test_the_greatest_time_counts_and_an_old_pace_gives_way_to_any() -> None:
    full = heard(limit=10, queued=30)
    full.update(pace(at=NOON - timedelta(seconds=1), queued=0), at_s=1)
    assert full.refusal(at_s=1) is not None
    full.update(pace(at=NOON - timedelta(seconds=1), queued=0), at_s=FRESH_FOR_S + 1)
    assert full.refusal(at_s=FRESH_FOR_S + 1) is None


def test_what_was_let_through_while_the_kitchen_was_silent_is_not_kept_for_ever() -> None:
    full = KitchenPace(limit=5)
    let_through(full, range(100), at_s=100.0)
    let_through(full, range(100, 103), at_s=200.0)
    full.update(pace(queued=0, in_kitchen=0), at_s=200.1)
    assert full.refusal(at_s=200.1) is None
