"""The kitchen's speed: from its settings where it cooks by itself, measured where people cook, 0 where it is not known."""

from datetime import UTC, datetime, timedelta

import pytest

from cafeteria.kitchen.throughput import (
    Cooked,
    Look,
    quantile,
    rate_per_min,
    speed_by_itself,
    speed_of_people,
)

BEGIN = datetime(2026, 3, 1, 18, tzinfo=UTC)


def second(number: float) -> datetime:
    return BEGIN + timedelta(seconds=number)


def looks(*queues: bool) -> list[Look]:
    """A look each second."""
    return [Look(at=second(number), has_queue=has_queue) for number, has_queue in enumerate(queues)]


def test_stations_finish_one_ticket_each_in_the_mean_time() -> None:
    speed = speed_by_itself(stations=50, prep_min_s=3.0, prep_max_s=7.0)
    assert (speed.per_min, speed.prep_p50_s, speed.prep_p90_s) == (600.0, 5.0, pytest.approx(6.6))


def test_cooking_in_no_time_has_a_finite_rate() -> None:
    assert 0 < speed_by_itself(stations=1, prep_min_s=0.0, prep_max_s=0.0).per_min < 1e9


def test_the_rate_counts_only_what_was_finished_while_others_waited_and_that_time() -> None:
    queue = looks(*[True] * 10, *[False] * 60)
    finished = [second(number + 0.5) for number in range(0, 10, 2)]
    assert rate_per_min(queue, [*finished, second(30)]) == 5 * 60 / 10


def test_the_rate_is_unknown_until_five_tickets_were_finished() -> None:
    finished = [second(number + 0.5) for number in range(5)]
    assert rate_per_min(looks(*[True] * 20), finished[:4]) == 0.0
    assert rate_per_min(looks(*[True] * 21), finished) == 15.0


def test_nothing_is_known_of_a_time_without_looks() -> None:
    queue = [*looks(*[True] * 3), *(Look(at=second(60 + number), has_queue=True) for number in range(3))]
    finished = [second(number) for number in (0.5, 1.0, 1.5, 60.5, 61.5, 30.0, 31.0)]
    assert rate_per_min(queue, finished) == 5 * 60 / 4


def test_the_length_of_cooking_is_that_of_the_newest_tickets() -> None:
    newest = [Cooked(started_at=BEGIN, completed_at=second(10))] * 200
    older = [Cooked(started_at=BEGIN, completed_at=second(999))] * 100
    speed = speed_of_people([], [*newest, *older])
    assert (speed.per_min, speed.prep_p50_s, speed.prep_p90_s) == (0.0, 10.0, 10.0)


def test_a_quantile_is_interpolated_and_0_without_values() -> None:
    assert quantile([], 0.5) == 0.0
    assert quantile([4.0], 0.9) == 4.0
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
