"""The newest pace that this process has read, and the quotes that it makes from it; memory alone, lost with the process.

A quote is made without a query, so that enqueuing costs no round trip more. Without a fresh pace there is no quote.
"""

from datetime import datetime, timedelta

from cafeteria.contracts.kitchen import Pace
from cafeteria.kitchen.domain import Quote
from cafeteria.kitchen.ready_range import range_of_queued

MAX_AGE = timedelta(seconds=3)  # two paces may be missed


class NewestPace:
    """Holds a pace, and counts the tickets that this process has enqueued since; other replicas' are in the next pace."""

    def __init__(self) -> None:
        self._pace: Pace | None = None
        self._arrived = 0
        self._arrived_before = 0

    @property
    def arrived(self) -> int:
        """How many tickets this process has enqueued. Read it before the pace, for `replace`."""
        return self._arrived

    def count_arrived(self, count: int) -> None:
        """Note new tickets, once they are committed."""
        self._arrived += count

    def replace(self, pace: Pace, *, arrived: int) -> None:
        """Store a pace; it contains the tickets that had arrived when `arrived` was read."""
        self._pace, self._arrived_before = pace, arrived

    def quotes(self, count: int, *, at: datetime) -> list[Quote | None]:
        """Return the quotes of `count` tickets that are enqueued at `at`, each behind the one before."""
        pace = self._pace
        if pace is None or at - pace.at > MAX_AGE:
            return [None] * count
        first = pace.queued + self._arrived - self._arrived_before
        return [_quote(pace, ahead=first + place, at=at) for place in range(count)]


def _quote(pace: Pace, *, ahead: int, at: datetime) -> Quote | None:
    found = range_of_queued(pace, ahead=ahead, now=at)
    if found is not None and found.at_once:  # it begins now, not when the pace was read
        found = range_of_queued(pace, ahead=ahead, now=pace.at)
    if found is None:
        return None
    return Quote(
        told_at=at,
        ready_from=at + timedelta(seconds=found.from_s),
        ready_to=at + timedelta(seconds=found.to_s),
        at_once=found.at_once,
    )
