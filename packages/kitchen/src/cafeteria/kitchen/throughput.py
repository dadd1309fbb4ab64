"""How fast the kitchen works: a rate that is 0 where it is not known, and the length of cooking. Pure; times are passed in.

Where the kitchen cooks by itself both follow from its settings. Where people cook they are measured.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

RATE_WINDOW = timedelta(seconds=120)  # long enough for people who finish a ticket every few seconds
MIN_FINISHED = 5  # fewer would make the rate jump with each ticket
LONGEST_GAP = timedelta(seconds=5)  # between two looks at the queue; across a longer one nothing is known
SHORTEST_PREP_S = 0.001  # where an order takes no time, the rate is large and finite
COOKING_SAMPLE = 200  # tickets; more would follow a change of people or dishes too late


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """`per_min` is tickets a minute while something waits; the others are quantiles of a ticket's cooking in seconds."""

    per_min: float
    prep_p50_s: float
    prep_p90_s: float


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Whether tickets waited at that moment."""

    at: datetime
    has_queue: bool


class Cooked(msgspec.Struct, frozen=True, kw_only=True):
    """When a ticket was begun and finished."""

    started_at: datetime
    completed_at: datetime

    @property
    def took_s(self) -> float:
        return (self.completed_at - self.started_at).total_seconds()


def speed_by_itself(*, stations: int, prep_min_s: float, prep_max_s: float) -> Speed:
    """Return the speed of stations whose cooking times are uniformly distributed between the two."""
    mean_s = (prep_min_s + prep_max_s) / 2
    return Speed(
        per_min=stations * 60 / max(SHORTEST_PREP_S, mean_s),
        prep_p50_s=mean_s,
        prep_p90_s=prep_min_s + 0.9 * (prep_max_s - prep_min_s),
    )


def speed_of_people(looks: Sequence[Look], cooked: Sequence[Cooked]) -> Speed:
    """Return the measured speed. `looks` are the oldest first, `cooked` the newest first."""
    times_s = sorted(each.took_s for each in cooked[:COOKING_SAMPLE])
    return Speed(
        per_min=rate_per_min(looks, [each.completed_at for each in cooked]),
        prep_p50_s=quantile(times_s, 0.5),
        prep_p90_s=quantile(times_s, 0.9),
    )


def rate_per_min(looks: Sequence[Look], completed: Iterable[datetime]) -> float:
    """Return the tickets finished while others waited, divided by that time; 0 until MIN_FINISHED were."""
    spans = [
        (earlier.at, later.at)
        for earlier, later in pairwise(looks)
        if earlier.has_queue and later.at - earlier.at <= LONGEST_GAP
    ]
    count = sum(any(since < at <= until for since, until in spans) for at in completed)
    if count < MIN_FINISHED:
        return 0.0
    return count * 60 / sum((until - since).total_seconds() for since, until in spans)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the quantile of rising values, interpolated; 0 where there are none."""
    if not values:
        return 0.0
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)
