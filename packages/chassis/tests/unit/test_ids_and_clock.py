"""Ids sort by their time of creation; the clock is aware and in UTC."""

from datetime import UTC, timedelta

from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import earliest_id, made_at, new_id


def test_ids_are_uuid7_and_later_ones_sort_later() -> None:
    ids = [new_id() for _ in range(1000)]
    assert {each.version for each in ids} == {7}
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_the_clock_is_aware_and_in_utc() -> None:
    assert now().tzinfo is UTC
    assert now() - now() < timedelta(seconds=1)


def test_an_id_made_at_a_moment_or_later_is_not_below_that_moments_earliest() -> None:
    at = now()

    assert earliest_id(at) <= new_id()
    assert new_id() < earliest_id(at + timedelta(seconds=60))


def test_an_id_tells_when_it_was_made() -> None:
    before = now()
    assert before - timedelta(milliseconds=1) <= made_at(new_id()) <= now()
