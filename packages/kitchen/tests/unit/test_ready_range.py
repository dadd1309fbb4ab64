"""The ready range gives the cases that the page's implementation gives too."""

from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from cafeteria.contracts.kitchen import Pace
from cafeteria.kitchen.ready_range import ReadyRange, orders_ahead, range_of_cooking, range_of_queued

VECTORS = Path(__file__).parents[3] / "shared-contracts/examples/kitchen/vectors/eta.json"


class Vector(msgspec.Struct, forbid_unknown_fields=True):
    """One case: without `verified_at` and `started_at` it is an order placed now."""

    name: str
    pace: Pace
    now: datetime
    verified_at: datetime | None
    started_at: datetime | None
    expected: dict[str, float | bool] | None


CASES = msgspec.json.decode(VECTORS.read_bytes(), type=list[Vector])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_range_is_the_one_of_the_vector(case: Vector) -> None:
    found = _range(case)
    if case.expected is None or found is None:
        assert found is case.expected
    else:
        assert msgspec.structs.asdict(found) == pytest.approx(case.expected, abs=0.0006)


def _range(case: Vector) -> ReadyRange | None:
    if case.started_at is not None:
        return range_of_cooking(case.pace, started_at=case.started_at, now=case.now)
    ahead = (
        case.pace.queued
        if case.verified_at is None
        else orders_ahead(case.pace, verified_at=case.verified_at)
    )
    return None if ahead is None else range_of_queued(case.pace, ahead=ahead, now=case.now)


def test_a_longer_queue_never_makes_a_meal_ready_earlier() -> None:
    pace = CASES[0].pace
    found = [range_of_queued(pace, ahead=ahead, now=pace.at) for ahead in range(400)]
    ends = [(each.from_s, each.to_s) for each in found if each]
    assert len(ends) == 400
    assert ends == sorted(ends)
