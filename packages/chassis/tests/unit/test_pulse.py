"""What snapshots say: rates, means and percentiles of a window, and when answers count as slow."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest

from cafeteria.chassis.observability.metrics import SECONDS_BUCKETS
from cafeteria.chassis.observability.pulse import (
    BELOW_S,
    KEPT_SNAPSHOTS,
    WINDOW_S,
    Durations,
    History,
    Slowness,
    Snapshot,
    judge,
    together,
)

SUNSET = datetime(2026, 3, 1, 18, 4, tzinfo=UTC)
ORDERS, MENU = ("/v1/orders", "POST"), ("/v1/menu", "GET")


def durations(seconds: Iterable[float]) -> Durations:
    """The sums that the metrics would have after answers of these lengths."""
    listed = list(seconds)
    within = [float(sum(each <= bound for each in listed)) for bound in SECONDS_BUCKETS]
    return Durations(total_s=sum(listed), within=(*within, float(len(listed))))


def snapshot(
    clock_s: float,
    orders: Iterable[float] = (),
    menus: Iterable[float] = (),
    *,
    refused: float = 0,
    failed: float = 0,
    placed: float = 0,
) -> Snapshot:
    """The sums at a time; the answers are all since the start."""
    routes = {ORDERS: durations(orders), MENU: durations(menus)}
    return Snapshot(
        at=SUNSET + timedelta(seconds=clock_s),
        clock_s=clock_s,
        routes=routes,
        everything=together(routes.values()),
        refused=refused,
        failed=failed,
        counted={"orders_per_s": placed},
    )


def minute_of(answers_each_second: list[list[float]]) -> History:
    """The history after seconds with these answers."""
    history = History(snapshot(0))
    for number, so_far in enumerate(accumulate(answers_each_second), start=1):
        history.add(snapshot(number, so_far))
    return history


def test_a_window_is_the_last_half_minute() -> None:
    history = minute_of([[0.1] * 10] * 20 + [[0.3] * 20] * 30)
    window = history.window()
    assert window.seconds == WINDOW_S
    assert window.per_s(window.everything.count) == 20
    assert window.everything.mean_s() == pytest.approx(0.3)


def test_ticks_that_come_a_little_late_do_not_shorten_the_window() -> None:
    history = History(snapshot(0))
    for number in range(1, 61):
        history.add(snapshot(number * 1.004))
    assert 30 <= history.window().seconds < 30.5


def test_after_the_start_a_window_is_what_there_is() -> None:
    assert minute_of([]).window().seconds == 0
    assert minute_of([]).window().per_s(0) == 0
    assert minute_of([[], []]).window().seconds == 2


def test_after_a_pause_of_the_process_the_window_is_the_pause() -> None:
    history = minute_of([[0.1]] * 10)
    history.add(snapshot(100, [0.1] * 10 + [2.0]))
    assert history.window().seconds == 90
    assert history.window().everything.mean_s() == pytest.approx(2.0)


def test_a_minute_is_kept_a_second_apart() -> None:
    history = minute_of([[0.1] * number for number in range(100)])
    seconds = list(history.seconds())
    assert len(seconds) == KEPT_SNAPSHOTS - 1 == 60
    assert [window.everything.count for window in seconds] == list(range(40, 100))
    assert seconds[-1].newer.at == SUNSET + timedelta(seconds=100)


def test_without_an_answer_there_is_no_mean_and_no_percentile() -> None:
    nothing = minute_of([[]] * 40).window()
    assert nothing.everything.mean_s() is None
    assert nothing.everything.percentile_s(0.5) is None
    assert nothing.share(0) == 0
    assert nothing.routes() == {}


@pytest.mark.parametrize(
    ("lengths", "share", "least", "most"),
    [
        ([0.02] * 100, 0.5, 0.01, 0.025),
        ([0.02] * 100, 0.95, 0.01, 0.025),
        ([0.0005], 0.5, 0.0, 0.001),
        ([0.02] * 90 + [0.4] * 10, 0.5, 0.01, 0.025),
        ([0.02] * 90 + [0.4] * 10, 0.95, 0.25, 0.5),
        ([0.001, 0.4], 0.5, 0.001, 0.001),
        ([9.0], 0.5, 5.0, 5.0),
        ([0.02, 30.0], 0.95, 5.0, 5.0),
    ],
)
def test_a_percentile_is_in_the_bucket_of_its_answer(
    lengths: list[float], share: float, least: float, most: float
) -> None:
    found = durations(lengths).percentile_s(share)
    assert found is not None
    assert least <= found <= most


def test_percentiles_never_fall() -> None:
    spread = durations([number / 40 for number in range(250)])
    found = [spread.percentile_s(share / 100) or 0.0 for share in range(1, 101)]
    assert found == sorted(found)
    assert found[49] == pytest.approx(3.1, rel=0.25)


def test_the_busiest_route_is_first_and_a_silent_one_absent() -> None:
    history = History(snapshot(0, [0.1] * 50))
    history.add(snapshot(1, [0.1] * 52, [0.01] * 7))
    history.add(snapshot(2, [0.1] * 52, [0.01] * 8))
    assert list(history.window().routes()) == [MENU, ORDERS]
    assert list(list(history.seconds())[-1].routes()) == [MENU]


def test_shares_are_of_the_answers_of_the_window() -> None:
    history = History(snapshot(0, [0.1] * 100, refused=100, placed=0))
    history.add(snapshot(10, [0.1] * 200, refused=125, failed=1, placed=70))
    window = history.window()
    assert window.share(window.newer.refused - window.older.refused) == 0.25
    assert window.share(window.newer.failed - window.older.failed) == 0.01
    assert window.rates() == {"orders_per_s": 7.0}


def judged(answers_each_second: list[list[float]]) -> list[Slowness]:
    """The judgement after each second."""
    history, so_far = History(snapshot(0)), Slowness()
    found = []
    for number, answers in enumerate(accumulate(answers_each_second), start=1):
        history.add(snapshot(number, answers))
        so_far = judge(so_far, history.window())
        found.append(so_far)
    return found


def slow_seconds(answers_each_second: list[list[float]]) -> list[int]:
    return [
        second for second, each in enumerate(judged(answers_each_second), start=1) if each.since is not None
    ]


def test_one_slow_answer_and_no_other_is_enough() -> None:
    assert slow_seconds([[], [1.2]])[0] == 2


def test_a_mean_of_exactly_the_limit_is_not_slow() -> None:
    assert slow_seconds([[1.0]] * 40) == []
    assert slow_seconds([[1.001]] * 40) != []


def test_a_slow_answer_among_many_quick_ones_is_no_alert() -> None:
    assert slow_seconds([[0.05] * 100, [5.0], [0.05] * 100] * 20) == []


def test_it_is_slow_since_the_first_second_above_the_limit() -> None:
    found = judged([[0.1]] * 5 + [[3.0]] * 20)
    onset = next(number for number, each in enumerate(found, start=1) if each.since)
    assert {each.since for each in found[onset - 1 :]} == {SUNSET + timedelta(seconds=onset)}


def test_it_ends_when_the_mean_was_below_for_five_seconds() -> None:
    slow = slow_seconds([[2.0]] * 10 + [[0.01] * 10] * 40)
    first_below = 12  # after the eleventh second 20.1 s for 20 answers, after the twelfth 20.2 s for 30
    assert slow == list(range(1, first_below + int(BELOW_S)))


def test_without_further_answers_it_ends_when_the_slow_ones_have_left_the_window() -> None:
    assert slow_seconds([[2.0]] + [[]] * 60) == list(range(1, 1 + int(WINDOW_S) + int(BELOW_S)))


def test_one_second_above_the_limit_begins_the_five_seconds_again() -> None:
    history = History(snapshot(0))
    states = Slowness(since=SUNSET, below_since_s=3.0)
    history.add(snapshot(7, [2.0]))
    states = judge(states, history.window())
    assert states == Slowness(since=SUNSET)


def test_who_was_never_slow_stays_so() -> None:
    assert judged([[]] * 40 + [[0.3]] * 40) == [Slowness()] * 80
