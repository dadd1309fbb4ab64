"""NATS and the way to it: streams that may lose everything, durable consumers, outboxes and their relays.

The bus is worse than the real one: consumers get messages in any order and without any look at message ids, so
what is right here needs neither.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from cafeteria.contracts import bus as wire
from cafeteria.contracts.wire import Topic
from cafeteria.rush.model.scheduler import LOST, Commit, Replica, Scheduler, Steps, twice


class Message(msgspec.Struct, frozen=True):
    """What an outbox holds and a relay carries."""

    order_id: UUID
    topic: Topic[Any]
    body: Any


class Durable:
    """Delivers each message of `topic` to some replica until that has acknowledged it."""

    __slots__ = ("stream", "taken", "topic", "waiting")

    def __init__(self, stream: "Stream", topic: Topic[Any]) -> None:
        self.stream = stream
        self.topic = topic
        self.waiting: list[Any] = []
        self.taken: list[tuple[Replica, list[Any]]] = []
        stream.durables.append(self)

    def take(self, home: Replica) -> list[Any]:
        """Some of what waits; in a calm all of it."""
        scheduler = home.scheduler
        batch, self.waiting = self.waiting, []
        if not scheduler.is_calm and len(batch) > 1:
            scheduler.chance.shuffle(batch)
            share = 1 + int(scheduler.dice() * len(batch))
            batch, self.waiting = batch[:share], batch[share:]
        self.taken.append((home, batch))
        return batch

    def acknowledge(self, home: Replica, batch: list[Any]) -> None:
        """If the acknowledgement arrives."""
        scheduler = home.scheduler
        if not scheduler.is_calm and scheduler.happens(scheduler.weather.unacked):
            scheduler.tell(home, "the acknowledgement is lost")
            self.give_back(batch)
        else:
            self.taken = [each for each in self.taken if each[1] is not batch]

    def give_back(self, batch: list[Any]) -> None:
        """To be delivered again, unless the stream has been lost meanwhile."""
        if any(each[1] is batch for each in self.taken):
            self.taken = [each for each in self.taken if each[1] is not batch]
            self.waiting += batch

    def abandon(self, home: Replica) -> None:
        """The replica has died with what it had taken."""
        for _, batch in [each for each in self.taken if each[0] is home]:
            self.give_back(batch)

    def replay(self) -> None:
        self.waiting = [message.body for message in self.stream.messages if message.topic is self.topic]


class Stream:
    """`epoch` counts the streams of this name that there have been."""

    __slots__ = ("durables", "epoch", "messages")

    def __init__(self) -> None:
        self.epoch = 1
        self.messages: list[Message] = []
        self.durables: list[Durable] = []

    def store(self, message: Message) -> None:
        self.messages.append(message)
        for durable in self.durables:
            if durable.topic is message.topic:
                durable.waiting.append(message.body)

    def wipe(self) -> None:
        """The store is gone, and made anew."""
        self.epoch += 1
        self.messages = []
        for durable in self.durables:
            durable.waiting = []
            durable.taken = []


class Bus:
    """The two streams and who reads them."""

    __slots__ = ("durables", "kitchen", "notification", "projection", "scheduler", "streams", "work")

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.kitchen = Stream()
        self.notification = Stream()
        self.streams = (self.kitchen, self.notification)
        self.work = Durable(self.kitchen, wire.WORK_PLACED)
        self.projection = Durable(self.notification, wire.KITCHEN_STATUS)
        self.durables = (self.work, self.projection)

    def publish(self, messages: list[Message]) -> Any:
        """LOST when not every one was acknowledged; then any of them may be stored all the same."""
        scheduler = self.scheduler
        if not scheduler.is_calm and scheduler.happens(scheduler.weather.unstored):
            stored = [each for each in messages if scheduler.happens(0.5)]
            scheduler.note("{} of {} stored, not acknowledged", len(stored), len(messages))
        else:
            stored = messages
        for message in stored:
            (self.kitchen if message.topic is wire.WORK_PLACED else self.notification).store(message)
        return None if stored is messages else LOST


class Outbox:
    """Rows that were committed with what they tell. One relay at a time carries them: `holder`."""

    __slots__ = ("holder", "last_id", "rows")

    def __init__(self) -> None:
        self.rows: dict[int, Message] = {}
        self.last_id = 0
        self.holder: Replica | None = None

    def add(self, messages: list[Message]) -> None:
        for message in messages:
            self.last_id += 1
            self.rows[self.last_id] = message

    def holds(self, order_id: UUID) -> bool:
        return any(message.order_id == order_id for message in self.rows.values())

    def delete(self, ids: list[int]) -> None:
        for each in ids:
            self.rows.pop(each, None)


def relay(home: Replica, outbox: Outbox, bus: Bus) -> Steps:
    """R: the rows to JetStream in their order; deleted once all are acknowledged."""
    outbox.holder = home
    ids = list(outbox.rows)
    published = yield Commit("R publishes", bus.publish, [outbox.rows[each] for each in ids])
    if published is not LOST:
        yield Commit("R deletes what was acknowledged", outbox.delete, ids)
    if outbox.holder is home:
        outbox.holder = None


def consume(home: Replica, durable: Durable, label: str, handle: Callable[[list[Any]], Any]) -> Steps:
    """Take, commit, acknowledge; in this order, or what a crash interrupts is gone."""
    is_careful = home.scheduler.guards.ack_after_commit
    batch = durable.take(home)
    if not is_careful:
        durable.acknowledge(home, batch)
    handled = yield from twice(label, handle, batch)
    if is_careful and handled is LOST:
        durable.give_back(batch)
    elif is_careful:
        durable.acknowledge(home, batch)
