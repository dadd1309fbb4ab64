"""The range of an order's ready time, from the kitchen's pace. Pure: the page computes the same in JavaScript.

`examples/kitchen/vectors/eta.json` of the contracts has the cases that both implementations must give.
"""

from datetime import datetime
from itertools import pairwise

import msgspec

from cafeteria.contracts.kitchen import Pace

WAIT_FROM, WAIT_TO = 0.85, 1.15  # how much shorter or longer than at the present pace an order may wait


class ReadyRange(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from now until a meal is ready, at the earliest and at the latest. `at_once`: it waits for no other."""

    from_s: float
    to_s: float
    at_once: bool

    @property
    def middle_s(self) -> float:
        return (self.from_s + self.to_s) / 2


def range_of_queued(pace: Pace, *, ahead: float, now: datetime) -> ReadyRange | None:
    """Return the range of an order that has `ahead` others before it; None without an estimate."""
    free = max(0, pace.stations - pace.in_kitchen) if pace.stations is not None else 0
    at_once = ahead < free
    if not at_once and pace.per_min <= 0:
        return None
    wait_s = pace.delay_s + (0.0 if at_once else (ahead - free + 1) * 60 / pace.per_min)
    passed_s = (now - pace.at).total_seconds()
    return ReadyRange(
        from_s=max(0.0, WAIT_FROM * wait_s + _shortest_s(pace) - passed_s),
        to_s=max(0.0, WAIT_TO * wait_s + pace.prep_p90_s - passed_s),
        at_once=at_once,
    )


def range_of_cooking(pace: Pace, *, started_at: datetime, now: datetime) -> ReadyRange:
    """Return the range of an order that a cook has begun."""
    passed_s = (now - started_at).total_seconds()
    return ReadyRange(
        from_s=max(0.0, _shortest_s(pace) - passed_s),
        to_s=max(0.0, pace.prep_p90_s - passed_s),
        at_once=True,
    )


def orders_ahead(pace: Pace, *, verified_at: datetime) -> float | None:
    """Return how many orders were verified earlier and wait, interpolated; None if the pace is older than this order."""
    if verified_at > pace.at:
        return None
    marks = [(mark.verified_at, mark.ahead) for mark in pace.queue]
    if not marks:
        return 0.0
    marks.append((pace.at, pace.queued))
    if verified_at <= marks[0][0]:
        return float(marks[0][1])
    for (earlier, less), (later, more) in pairwise(marks):
        if verified_at <= later:
            share = (verified_at - earlier).total_seconds() / (later - earlier).total_seconds()
            return less + (more - less) * share
    return float(pace.queued)


def _shortest_s(pace: Pace) -> float:
    """As far below the median of cooking as the 90th percentile lies above it, but no less than its half."""
    return max(pace.prep_p50_s / 2, 2 * pace.prep_p50_s - pace.prep_p90_s)
