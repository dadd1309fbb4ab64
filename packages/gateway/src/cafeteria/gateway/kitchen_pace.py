"""What the kitchen last said of itself, cached in memory, which may be lost at any time: may one more order go to it?

The cache may refuse an order but never accept one. It refuses only on a pace that arrived within the last three seconds:
while the kitchen is not heard, orders are taken as if it had no limit. A refusal is for an order that does not exist; who
asks has looked up the key before.
"""

from collections.abc import Callable
from datetime import datetime
from math import ceil
from uuid import UUID

from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.contracts.kitchen import Pace
from cafeteria.gateway.errors import IntakePaused, KitchenFull

FRESH_FOR_S = 3.0  # the kitchen says its pace each second: two messages may be lost
IN_TRANSIT_S = (
    0.5  # from the gateway's door to the kitchen's queue: a decision, the relay's turn and a commit
)
LONGEST_WAIT_S = 60
UNKNOWN_WAIT_S = 10  # the kitchen has not finished enough to know how fast it is


class KitchenPace:
    """Keeps the pace with the greatest `at`, and the orders let through since: a pace does not count those yet.

    `limit` is the orders that the kitchen may have, waiting and cooking; 0 is no limit. Times are seconds on a monotonic
    clock, passed in by the caller; when a pause ends is a time of the day.
    """

    def __init__(self, *, limit: int, clock: Callable[[], datetime] = now) -> None:
        self._limit = limit
        self._clock = clock
        self._pace: Pace | None = None
        self._received_at_s = 0.0
        self._let_through: dict[UUID, float] = {}

    @property
    def said_at(self) -> datetime | None:
        """When the kept pace was said, by the kitchen's clock."""
        return None if self._pace is None else self._pace.at

    def update(self, pace: Pace, *, at_s: float) -> None:
        """Keep this pace if it is newer, or if the kept one is too old to count: a clock may have been set back."""
        if self._pace is not None and pace.at <= self._pace.at and self._is_fresh(at_s):
            return
        self._pace, self._received_at_s = pace, at_s
        self._forget_before(at_s - IN_TRANSIT_S)

    def refusal(self, *, at_s: float) -> Unavailable | None:
        """Why an order that does not exist yet cannot be taken now."""
        pace = self._pace
        if pace is None or (pace.is_open and not self._limit) or not self._is_fresh(at_s):
            return None
        if not pace.is_open and (paused := self._pause(pace)):
            return paused
        in_progress = pace.queued + pace.in_kitchen + len(self._let_through)
        if not self._limit or in_progress < self._limit:
            return None
        excess = in_progress - self._limit + 1
        return KitchenFull(orders_in_progress=in_progress, retry_after_s=_wait_s(excess, pace.per_min))

    def let_through(self, order_id: UUID, *, at_s: float) -> None:
        """Count an order until a pace can have counted it."""
        if not self._limit:
            return
        self._let_through[order_id] = at_s
        if not self._is_fresh(at_s):
            self._forget_before(at_s - FRESH_FOR_S)  # no pace comes that would end their counting

    def turned_away(self, order_id: UUID) -> None:
        """The order goes no further: it was a repeat, or has been refused since."""
        self._let_through.pop(order_id, None)

    def _is_fresh(self, at_s: float) -> bool:
        return at_s - self._received_at_s <= FRESH_FOR_S

    def _pause(self, pace: Pace) -> IntakePaused | None:
        if pace.reopens_at is None:
            return IntakePaused(reopens_at=None, retry_after_s=LONGEST_WAIT_S)
        rest_s = (pace.reopens_at - self._clock()).total_seconds()
        return (
            IntakePaused(reopens_at=pace.reopens_at, retry_after_s=_bounded(rest_s)) if rest_s > 0 else None
        )

    def _forget_before(self, then_s: float) -> None:
        """Orders are kept in the order of their times, so the old ones come first."""
        while self._let_through:
            oldest = next(iter(self._let_through))
            if self._let_through[oldest] >= then_s:
                return
            del self._let_through[oldest]


def _wait_s(excess: int, per_min: float) -> int:
    return _bounded(excess * 60 / per_min) if per_min > 0 else UNKNOWN_WAIT_S


def _bounded(wait_s: float) -> int:
    return min(LONGEST_WAIT_S, max(1, ceil(wait_s)))
