"""NATS: streams that may lose everything, and durable consumers of their messages, each of which holds many items.

The bus is worse than the real one: consumers get messages in any order, and the server recognises a repeated message
id only sometimes. A protocol that is correct here needs neither guarantee.
"""

from typing import Any

import msgspec

from cafeteria.contracts import subjects
from cafeteria.contracts.channels import Topic
from cafeteria.protocol_model.scheduler import Replica, Scheduler

REPEAT_SEEN = 0.7
"""How often the server drops a message whose id it has stored already."""


class Message(msgspec.Struct, frozen=True):
    """What a stream stores. `id` represents a digest over the ids of the rows whose `items` it holds."""

    topic: Topic[Any]
    id: tuple[Any, ...]
    items: tuple[Any, ...]


class Unreadable(msgspec.Struct, frozen=True):
    """An item that no receiver can read."""

    number: int


class Delivery:
    """A message that the replica `home` is handling. `left` counts the items that are not committed yet."""

    __slots__ = ("has_failed", "home", "left", "message")

    def __init__(self, home: Replica, message: Message) -> None:
        self.home = home
        self.message = message
        self.left = 0
        self.has_failed = False


class Durable:
    """Delivers each message of `topic` to some replica until a replica has acknowledged it."""

    def __init__(self, stream: "Stream", topic: Topic[Any]) -> None:
        self.stream = stream
        self.topic = topic
        self.waiting: list[Message] = []
        self.taken: list[Delivery] = []
        stream.durables.append(self)

    def take(self, home: Replica) -> list[Delivery]:
        """Deliver some of the waiting messages; in the quiesce phase all of them."""
        scheduler = home.scheduler
        batch, self.waiting = self.waiting, []
        if not scheduler.is_quiescing and len(batch) > 1:
            scheduler.chance.shuffle(batch)
            share = 1 + int(scheduler.dice() * len(batch))
            batch, self.waiting = batch[:share], batch[share:]
        deliveries = [Delivery(home, message) for message in batch]
        self.taken += deliveries
        return deliveries

    def acknowledge(self, delivery: Delivery) -> None:
        """Remove the delivery, unless the acknowledgement is lost."""
        scheduler = delivery.home.scheduler
        if not scheduler.is_quiescing and scheduler.happens(scheduler.fault_rates.unacked):
            scheduler.log(delivery.home, "the acknowledgement is lost")
            self.give_back(delivery)
        elif delivery in self.taken:
            self.taken.remove(delivery)

    def give_back(self, delivery: Delivery) -> None:
        """Queue the message for redelivery, unless the stream has been lost meanwhile."""
        if delivery in self.taken:
            self.taken.remove(delivery)
            self.waiting.append(delivery.message)

    def abandon(self, home: Replica) -> None:
        """Redeliver everything that the dead replica was handling."""
        for delivery in [each for each in self.taken if each.home is home]:
            self.give_back(delivery)

    def replay(self) -> None:
        self.waiting = [message for message in self.stream.messages if message.topic is self.topic]


class Stream:
    """A stream. `epoch` counts how often it was created; `ids` are the message ids that it has stored since."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.epoch = 1
        self.messages: list[Message] = []
        self.ids: set[tuple[Any, ...]] = set()
        self.durables: list[Durable] = []

    def store(self, message: Message) -> None:
        """Store the message, unless the server recognises its id as a duplicate."""
        if message.id in self.ids and self.scheduler.happens(REPEAT_SEEN):
            self.scheduler.note("message {} is here already", message.id)
            return
        self.ids.add(message.id)
        self.messages.append(message)
        for durable in self.durables:
            if durable.topic is message.topic:
                durable.waiting.append(message)

    def wipe(self) -> None:
        """Lose everything that is stored and create the stream again."""
        self.epoch += 1
        self.messages = []
        self.ids.clear()
        for durable in self.durables:
            durable.waiting = []
            durable.taken = []


class Bus:
    """The two streams and their durable consumers."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.kitchen = Stream(scheduler)
        self.notification = Stream(scheduler)
        self.streams = (self.kitchen, self.notification)
        self.work = Durable(self.kitchen, subjects.WORK_PLACED)
        self.projection = Durable(self.notification, subjects.KITCHEN_STATUS)
        self.durables = (self.work, self.projection)

    def publish(self, messages: list[Message]) -> list[Message]:
        """Return the messages that were acknowledged. Each of the others may be stored nevertheless."""
        scheduler, acknowledged = self.scheduler, []
        for message in messages:
            is_answered = scheduler.is_quiescing or not scheduler.happens(scheduler.fault_rates.unstored)
            if is_answered or scheduler.happens(0.5):
                (self.kitchen if message.topic is subjects.WORK_PLACED else self.notification).store(message)
            if is_answered:
                acknowledged.append(message)
        scheduler.note("{} of {} messages acknowledged", len(acknowledged), len(messages))
        return acknowledged
