"""Watchers of the wire proxies: one counts messages, one kills a service at a message; both measure silence."""

import asyncio
from collections.abc import Callable
from time import monotonic

from cafeteria.crash_points.naming import Named
from cafeteria.crash_points.points import Count, Moment, Point, background_topic
from cafeteria.crash_points.wire_proxy import Passage, Place
from cafeteria.faultkit.tcp_proxy import Direction


class Listener:
    """Lets everything pass; records all topics, and when the last message passed that is not background."""

    def __init__(self, background: frozenset[tuple[Place, str]] = frozenset()) -> None:
        self.count = Count(background)
        self.topics: set[tuple[Place, str]] = set()
        self._last_at = monotonic()

    @property
    def silent_for_s(self) -> float:
        return monotonic() - self._last_at

    def passage(self, place: Place, direction: Direction, message: Named) -> Passage:
        self.topics.add(background_topic(place, message))
        if self.count.number(place, direction, message) is not None:
            self._last_at = monotonic()
        return Passage.FREE

    def all_arrived(self) -> None:
        """Do nothing: this watcher holds no message."""


class Trap:
    """Kills the service at one message, and lets nothing pass after it."""

    def __init__(
        self, point: Point, *, background: frozenset[tuple[Place, str]], kill: Callable[[], None]
    ) -> None:
        self.point = point
        self.sprung = asyncio.Event()
        self._count = Count(background)
        self._kill = kill
        self._last_at = monotonic()

    @property
    def silent_for_s(self) -> float:
        return monotonic() - self._last_at

    def passage(self, place: Place, direction: Direction, message: Named) -> Passage:
        found = self._count.number(place, direction, message)
        if found is not None:
            self._last_at = monotonic()
        if self.sprung.is_set() or found != (self.point.kind, self.point.number):
            return Passage.FREE
        return Passage.HELD if self.point.moment is Moment.BEFORE else Passage.LAST

    def all_arrived(self) -> None:
        if not self.sprung.is_set():
            self._kill()
            self.sprung.set()
