"""What snapshots of the metrics say about the last minute: rates, means, percentiles, and whether answers are slow.

A snapshot holds sums since the start of the process, as the metrics do; everything else is the difference of two of them.
These are pure functions: the caller reads the metrics and the clocks.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import pairwise

import msgspec

from cafeteria.chassis.observability.metrics import SECONDS_BUCKETS

KEPT_SNAPSHOTS = 61
"""One a second: a minute, and the moment at which it began."""

WINDOW_S = 30.0
"""Long enough for a mean that one answer does not decide, short enough for an operator who waits for it."""

SLOW_ABOVE_S = 1.0
"""Students wait longer than this on average: an order is answered within 1.3 s, whatever is silent (failure-modes.md)."""

BELOW_S = 5.0
"""So long the mean must be below the limit, or an alert at the limit would come and go each second."""

_TICK_TOLERANCE_S = 0.5
_NOTHING = (0.0,) * (len(SECONDS_BUCKETS) + 1)

Route = tuple[str, str]
"""Path template and method."""


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """How long answers took: `total_s` together, and `within[i]` of them at most SECONDS_BUCKETS[i]; the last is all."""

    total_s: float = 0.0
    within: tuple[float, ...] = _NOTHING

    @property
    def count(self) -> float:
        return self.within[-1]

    def since(self, earlier: "Durations") -> "Durations":
        within = tuple(now - then for now, then in zip(self.within, earlier.within, strict=True))
        return Durations(total_s=self.total_s - earlier.total_s, within=within)

    def mean_s(self) -> float | None:
        return self.total_s / self.count if self.count else None

    def percentile_s(self, share: float) -> float | None:
        """Estimate it by a straight line within its bucket. Above the last bound it is that bound."""
        if not self.count:
            return None
        rank, below, lower_s = share * self.count, 0.0, 0.0
        for upper_s, within in zip(SECONDS_BUCKETS, self.within, strict=False):
            if within >= rank > below:
                return lower_s + (upper_s - lower_s) * (rank - below) / (within - below)
            below, lower_s = within, upper_s
        return lower_s


def together(parts: Iterable[Durations]) -> Durations:
    """The durations of several routes as one."""
    listed = list(parts)
    sums = zip(_NOTHING, *(part.within for part in listed), strict=True)
    return Durations(total_s=sum(part.total_s for part in listed), within=tuple(map(sum, sums)))


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The answers since the start of the process. `clock_s` is a steady clock's reading, `everything` all routes together.

    `refused` counts 503, `failed` any other 5xx, and `counted` what a service wants as a rate, by name.
    """

    at: datetime
    clock_s: float
    routes: Mapping[Route, Durations]
    everything: Durations
    refused: float
    failed: float
    counted: Mapping[str, float]


class Window(msgspec.Struct, frozen=True):
    """The time between two snapshots."""

    older: Snapshot
    newer: Snapshot

    @property
    def seconds(self) -> float:
        return self.newer.clock_s - self.older.clock_s

    @property
    def everything(self) -> Durations:
        return self.newer.everything.since(self.older.everything)

    def routes(self) -> dict[Route, Durations]:
        """The routes that answered, the busiest first."""
        found = {
            route: durations.since(self.older.routes.get(route, Durations()))
            for route, durations in self.newer.routes.items()
        }
        busy = ((route, durations) for route, durations in found.items() if durations.count)
        return dict(sorted(busy, key=lambda each: -each[1].count))

    def per_s(self, count: float) -> float:
        return count / self.seconds if self.seconds else 0.0

    def rates(self) -> dict[str, float]:
        return {
            name: self.per_s(count - self.older.counted[name]) for name, count in self.newer.counted.items()
        }

    def share(self, count: float) -> float:
        """A part of the answers, from 0 to 1."""
        answers = self.everything.count
        return count / answers if answers else 0.0


class History:
    """The snapshots of the last minute; it begins with one."""

    def __init__(self, first: Snapshot) -> None:
        self._snapshots = deque([first], maxlen=KEPT_SNAPSHOTS)

    def add(self, snapshot: Snapshot) -> None:
        self._snapshots.append(snapshot)

    def window(self) -> Window:
        """The last WINDOW_S seconds, or what there is; after a pause of the process at least the last interval."""
        newest = self._snapshots[-1]
        earliest_s = newest.clock_s - WINDOW_S - _TICK_TOLERANCE_S
        before = list(self._snapshots)[:-1] or [newest]
        return Window(next((each for each in before if each.clock_s >= earliest_s), before[-1]), newest)

    def seconds(self) -> Iterator[Window]:
        """The intervals between neighbours, the oldest first."""
        return (Window(older, newer) for older, newer in pairwise(self._snapshots))


class Slowness(msgspec.Struct, frozen=True, kw_only=True):
    """Since when answers are slow, None while they are not; and the clock's reading since when they are no longer."""

    since: datetime | None = None
    below_since_s: float | None = None


def judge(before: Slowness, window: Window) -> Slowness:
    """Answers are slow when their mean is above the limit, and no longer when it has been below for BELOW_S.

    Without an answer nobody waits: that counts as below.
    """
    mean_s, now = window.everything.mean_s(), window.newer
    if mean_s is not None and mean_s > SLOW_ABOVE_S:
        return Slowness(since=before.since or now.at)
    if before.since is None:
        return before
    below_since_s = now.clock_s if before.below_since_s is None else before.below_since_s
    if now.clock_s - below_since_s >= BELOW_S:
        return Slowness()
    return Slowness(since=before.since, below_since_s=below_since_s)
