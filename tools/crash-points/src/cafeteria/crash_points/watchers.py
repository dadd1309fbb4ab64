"""Watchers of the wire proxies: one counts messages, one kills a service at a message; both measure silence."""

import asyncio
from collections.abc import Callable
from time import monotonic

from cafeteria.crash_points.naming import Named
from cafeteria.crash_points.points import Count, Kind, Moment, Point, background_topic
from cafeteria.crash_points.wire_proxy import Passage, Place
from cafeteria.faultkit.tcp_proxy import Direction


class _Counter:
    """Counts messages, and records when the last one passed that is not background."""

    def __init__(self, background: frozenset[tuple[Place, str]]) -> None:
        self.count = Count(background)
        self._last_at = monotonic()

    @property
    def silent_for_s(self) -> float:
        return monotonic() - self._last_at

    def counted(self, place: Place, direction: Direction, message: Named) -> tuple[Kind, int] | None:
        """Return the message's kind and number; None if it is background traffic."""
        found = self.count.number(place, direction, message)
        if found is not None:
            self._last_at = monotonic()
        return found


class Listener(_Counter):
    """Lets everything pass, and records all topics."""

    def __init__(self, background: frozenset[tuple[Place, str]] = frozenset()) -> None:
        super().__init__(background)
        self.topics: set[tuple[Place, str]] = set()

    def passage(self, place: Place, direction: Direction, message: Named) -> Passage:
        self.topics.add(background_topic(place, message.topic))
        self.counted(place, direction, message)
        return Passage.FREE

    def all_arrived(self) -> None:
        """Do nothing: this watcher holds no message."""


class Trap(_Counter):
    """Kills the service at one message, and lets nothing pass after it."""

    def __init__(
        self, point: Point, *, background: frozenset[tuple[Place, str]], kill: Callable[[], None]
    ) -> None:
        super().__init__(background)
        self.point = point
        self.sprung = asyncio.Event()
        self._kill = kill

    def passage(self, place: Place, direction: Direction, message: Named) -> Passage:
        found = self.counted(place, direction, message)
        if self.sprung.is_set() or found != (self.point.kind, self.point.number):
            return Passage.FREE
        return Passage.HELD if self.point.moment is Moment.BEFORE else Passage.LAST

    def all_arrived(self) -> None:
        if not self.sprung.is_set():
            self._kill()
            self.sprung.set()
