"""Crash points and their names. A name repeats a point: a message of a scenario, and the moment before or after it."""

from collections import Counter
from enum import StrEnum
from typing import Self

import msgspec

from cafeteria.contracts.subjects import STREAMS_API
from cafeteria.crash_points.naming import Named
from cafeteria.crash_points.wire_proxy import Place
from cafeteria.faultkit.tcp_proxy import Direction

_PREPOSITIONS = {Direction.REQUESTS: "to", Direction.REPLIES: "from"}


class Moment(StrEnum):
    BEFORE = "before"
    AFTER = "after"


class Kind(msgspec.Struct, frozen=True, order=True):
    """All messages of one name that a service exchanges with a server."""

    service: str
    server: str
    direction: Direction
    message: str

    @classmethod
    def of(cls, place: Place, direction: Direction, message: Named) -> Self:
        return cls(place.service, place.server, direction, f"{message.topic}:{message.kind}")

    @property
    def place(self) -> Place:
        return Place(self.service, self.server)


class Point(msgspec.Struct, frozen=True, order=True):
    """A point at which the service is killed: the `number`th message of a kind in the scenario `scenario`."""

    scenario: str
    kind: Kind
    number: int
    moment: Moment

    def __str__(self) -> str:
        where = f"{_PREPOSITIONS[self.kind.direction]}-{self.kind.server}"
        return "/".join(
            (self.scenario, self.kind.service, where, self.kind.message, str(self.number), self.moment.value)
        )


class Count:
    """Numbers the messages of one run of a scenario, by kind.

    Messages of a topic that also occurs while nobody orders count only if they concern the order. All others are
    counted, because nothing else is running.
    """

    def __init__(self, background: frozenset[tuple[Place, str]]) -> None:
        self._background = background
        self.numbers: Counter[Kind] = Counter()

    def number(self, place: Place, direction: Direction, message: Named) -> tuple[Kind, int] | None:
        """Return the message's kind and number; None if it is background traffic."""
        if not message.is_the_orders and self._is_background(place, message.topic):
            return None
        kind = Kind.of(place, direction, message)
        self.numbers[kind] += 1
        return kind, self.numbers[kind]

    def _is_background(self, place: Place, topic: str) -> bool:
        return f"{STREAMS_API}." in topic or background_topic(place, topic) in self._background


def background_topic(place: Place, topic: str) -> tuple[Place, str]:
    """Return the form in which background topics are stored."""
    return place, topic.removeprefix("prepare-")
