"""How gateway and kitchen consume: they commit the items of many messages together and acknowledge a message after
the last commit that holds one of its items. An unreadable item becomes a dead letter first, without its neighbours.
"""

from collections.abc import Callable, Iterator
from typing import Any

from cafeteria.protocol_model.bus import Delivery, Durable, Message, Unreadable
from cafeteria.protocol_model.scheduler import LOST, Replica, Scheduler, Steps, twice

Handle = Callable[[list[Any]], Any]
Part = list[tuple[Delivery, Any]]
"""Items that go into one commit, each with the message that brought it."""


class DeadLetters:
    """Unreadable items by subject and body, so that the same item is kept once."""

    def __init__(self) -> None:
        self.kept: set[tuple[str, Unreadable]] = set()

    def add(self, messages: list[Message]) -> None:
        self.kept |= {
            (each.topic.subject, item) for each in messages for item in each.items if is_unreadable(item)
        }


def is_unreadable(item: Any) -> bool:
    return item.__class__ is Unreadable


def readable(message: Message, scheduler: Scheduler) -> list[Any]:
    """The items that can be handled."""
    items = [item for item in message.items if not is_unreadable(item)]
    if len(items) < len(message.items) and not scheduler.guards.neighbours_are_handled:
        return []
    return items


def consume(home: Replica, durable: Durable, label: str, handle: Handle, letters: DeadLetters) -> Steps:
    """Take, commit, acknowledge; in any other order a crash loses messages."""
    deliveries = durable.take(home)
    if not home.scheduler.guards.ack_after_commit:
        for delivery in deliveries:
            durable.acknowledge(delivery)
    yield from _keep_unreadable(deliveries, letters)
    waiting = [(each, item) for each in deliveries for item in readable(each.message, home.scheduler)]
    for delivery, _ in waiting:
        delivery.left += 1
    for delivery in deliveries:
        _acknowledge_if_done(durable, delivery)
    for number, part in enumerate(_parts(home.scheduler, waiting)):
        outcome = yield from twice(
            f"{label}, the rest" if number else label, handle, [item for _, item in part]
        )
        _note_handled(durable, part, outcome)
    for delivery in deliveries:
        if delivery.has_failed:
            durable.give_back(delivery)


def _keep_unreadable(deliveries: list[Delivery], letters: DeadLetters) -> Steps:
    """Store all unreadable items in one commit. If it fails, the bus delivers their messages again."""
    broken = [each for each in deliveries if any(map(is_unreadable, each.message.items))]
    if not broken:
        return
    kept = yield from twice("keeps dead letters", letters.add, [each.message for each in broken])
    for delivery in broken:
        delivery.has_failed = kept is LOST


def _parts(scheduler: Scheduler, waiting: Part) -> Iterator[Part]:
    """Yield parts of any size, so that a message may be split over several commits."""
    while waiting:
        size = 1 + int(scheduler.dice() * len(waiting))
        part, waiting = waiting[:size], waiting[size:]
        yield part


def _note_handled(durable: Durable, part: Part, outcome: Any) -> None:
    acknowledges_early = not durable.stream.scheduler.guards.ack_after_last_commit
    for delivery, _ in part:
        delivery.left -= 1
        delivery.has_failed = delivery.has_failed or outcome is LOST
        if acknowledges_early and outcome is not LOST:
            durable.acknowledge(delivery)
    for delivery in {delivery: None for delivery, _ in part}:
        _acknowledge_if_done(durable, delivery)


def _acknowledge_if_done(durable: Durable, delivery: Delivery) -> None:
    if delivery.left == 0 and not delivery.has_failed:
        durable.acknowledge(delivery)
