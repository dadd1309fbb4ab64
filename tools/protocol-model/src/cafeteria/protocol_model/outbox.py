"""Outbox and relay: the rows of one subject that one pass finds form one message, of three rows at most.

An acknowledgement may be lost while more rows arrive, so a second try may pack other rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from cafeteria.contracts.channels import Topic
from cafeteria.protocol_model.bus import Bus, Message, Unreadable
from cafeteria.protocol_model.guards import Guards
from cafeteria.protocol_model.scheduler import LOST, Commit, Replica, Steps, busy

MOST_ITEMS = 3
"""In one message; 256 in the product."""
NOBODYS_ORDER = UUID(int=98)
"""The order id of an unreadable row."""


class OutboxItem(msgspec.Struct, frozen=True):
    """A message that is committed together with a change and published later."""

    order_id: UUID
    topic: Topic[Any]
    body: Any


class Outbox:
    """Outbox rows by number, each committed with the change it reports. The relay that has the lease, `holder`,
    publishes.

    `unreadable` has the rows that another release wrote and that no receiver can read.
    """

    def __init__(self, schema: str) -> None:
        self.schema = schema
        self.rows: dict[int, OutboxItem] = {}
        self.last_number = 0
        self.holder: Replica | None = None
        self.unreadable: list[OutboxItem] = []

    def add(self, items: Sequence[OutboxItem]) -> None:
        for item in items:
            self.last_number += 1
            self.rows[self.last_number] = item

    def add_unreadable(self, topic: Topic[Any]) -> None:
        item = OutboxItem(NOBODYS_ORDER, topic, Unreadable(len(self.unreadable)))
        self.unreadable.append(item)
        self.add([item])

    def holds(self, order_id: UUID) -> bool:
        return any(item.order_id == order_id for item in self.rows.values())

    def delete(self, numbers: list[int]) -> None:
        for each in numbers:
            self.rows.pop(each, None)


class Packed(msgspec.Struct, frozen=True):
    """A message and the rows that may be deleted once it is acknowledged."""

    message: Message
    numbers: tuple[int, ...]


def pack(outbox: Outbox, guards: Guards) -> list[Packed]:
    """Pack all rows of the outbox, each into exactly one message."""
    by_topic: dict[str, list[int]] = {}
    for number, item in outbox.rows.items():
        by_topic.setdefault(item.topic.subject, []).append(number)
    return [
        _packed(outbox, tuple(numbers), guards)
        for of_topic in by_topic.values()
        for numbers in _batches(of_topic)
    ]


def _batches(numbers: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), MOST_ITEMS):
        yield numbers[start : start + MOST_ITEMS]


def _packed(outbox: Outbox, numbers: tuple[int, ...], guards: Guards) -> Packed:
    items = [outbox.rows[number] for number in numbers]
    schema = outbox.schema if guards.row_ids_are_unique else ""
    digest = numbers if guards.id_over_exact_rows else numbers[:1]
    message = Message(items[0].topic, (schema, *digest), tuple(item.body for item in items))
    return Packed(message, numbers)


def relay(home: Replica, outbox: Outbox, bus: Bus) -> Steps:
    """Publish the rows in id order; delete those whose message is acknowledged."""
    outbox.holder = home
    yield from busy(home.scheduler, "relay of others")
    packed = pack(outbox, home.scheduler.guards)
    acknowledged = yield Commit("relay publishes", bus.publish, [each.message for each in packed])
    if acknowledged is not LOST and acknowledged:
        stored = {message.id for message in acknowledged}
        numbers = [number for each in packed if each.message.id in stored for number in each.numbers]
        yield Commit("relay deletes what was acknowledged", outbox.delete, numbers)
    if outbox.holder is home:
        outbox.holder = None
