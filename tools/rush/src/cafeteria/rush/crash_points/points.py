"""A crash point has a name, by which it can be met again: this message of that life, just before or just after."""

from collections import Counter
from enum import StrEnum
from typing import Self

import msgspec

from cafeteria.contracts.bus import STREAMS_API
from cafeteria.rush.crash_points.naming import Named
from cafeteria.rush.crash_points.tap import Place
from cafeteria.rush.proxy import Direction

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
    """The service is killed at the `number`th message of a kind in the named life."""

    life: str
    kind: Kind
    number: int
    moment: Moment

    def __str__(self) -> str:
        where = f"{_PREPOSITIONS[self.kind.direction]}-{self.kind.server}"
        return "/".join(
            (self.life, self.kind.service, where, self.kind.message, str(self.number), self.moment.value)
        )


class Count:
    """Numbers the messages of one order's life, by kind.

    Messages of a topic that goes on at rest too count only where they speak of the order; all others are counted, for
    nothing else goes on.
    """

    def __init__(self, background: frozenset[tuple[Place, str]]) -> None:
        self._background = background
        self.numbers: Counter[Kind] = Counter()

    def number(self, place: Place, direction: Direction, message: Named) -> tuple[Kind, int] | None:
        """None where it is background."""
        if not message.is_the_orders and self._is_background(place, message.topic):
            return None
        kind = Kind.of(place, direction, message)
        self.numbers[kind] += 1
        return kind, self.numbers[kind]

    def _is_background(self, place: Place, topic: str) -> bool:
        return f"{STREAMS_API}." in topic or (place, topic.removeprefix("prepare-")) in self._background


def background_topic(place: Place, message: Named) -> tuple[Place, str]:
    """How a topic is remembered that was met at rest."""
    return place, message.topic.removeprefix("prepare-")
