"""Faults that repack stored messages: with an unreadable item among the others, or in other groupings.

Each replaces a stored message, whether it was read or not, so its items are delivered only in the new grouping.
"""

import asyncio
import random

from cafeteria.contracts.channels import MAX_ITEMS
from cafeteria.contracts.subjects import STREAMS
from cafeteria.faultkit.cluster import Cluster
from cafeteria.faultkit.stored_messages import (
    POISON_ID,
    StoredMessage,
    delete,
    packed,
    read_newest,
    store_again,
)
from cafeteria.rush.faults.fault import Fault
from cafeteria.rush.faults.messages import FAMILY

HITS = (2, 8)
PAUSE_S = (0.05, 0.4)
NEWEST = 3
"""How many of the newest messages one is chosen from."""
REPACKED = (5, 60)

UNREADABLE_ITEMS = (
    b"null",
    b"17",
    b'"poison"',
    b"[]",
    b"{}",
    b'{"order_id": "not-an-id"}',
    b'{"order_id": "00000000-0000-0000-0000-000000000000", "version": "2"}',
    b"[" * 300 + b"]" * 300,
    b'"' + b"x" * 50_000 + b'"',
)


class UnreadableItem(Fault):
    """An unreadable item among the valid items of a message."""

    name = "poison-item"
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        neighbours = []
        for _ in range(chance.randint(*HITS)):
            stream = chance.choice(STREAMS).name
            messages = await read_newest(cluster.bus, stream, count=NEWEST)
            chance.shuffle(messages)
            for message, items in _with_items(messages)[:1]:
                await self._replace(cluster, message, items, chance)
                neighbours.append(len(items))
            await asyncio.sleep(chance.uniform(*PAUSE_S))
        return f"{len(neighbours)} messages, beside {sum(neighbours)} items that can be read"

    async def _replace(
        self, cluster: Cluster, message: StoredMessage, items: list[bytes], chance: random.Random
    ) -> None:
        items.insert(chance.randint(0, len(items)), chance.choice(UNREADABLE_ITEMS))
        message_id = message.id_again(POISON_ID)
        await delete(cluster.bus, message)
        await store_again(cluster.bus, message, message_id=message_id, body=packed(message.subject, items))


class Repacked(Fault):
    """The newest messages of a stream, stored in other groupings, as after a relay's second try with more rows."""

    name = "messages-repacked"
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        stream = chance.choice(STREAMS).name
        messages = _with_items(await read_newest(cluster.bus, stream, count=chance.randint(*REPACKED)))
        stored = 0
        for subject in sorted({message.subject for message, _ in messages}):
            of_subject = [(message, items) for message, items in messages if message.subject == subject]
            stored += await self._repack(cluster, of_subject, chance)
        return f"{len(messages)} messages of {stream} as {stored}"

    async def _repack(
        self, cluster: Cluster, messages: list[tuple[StoredMessage, list[bytes]]], chance: random.Random
    ) -> int:
        """Delete each original before its items are stored again, so that no item is stored twice."""
        items = [item for _, of_message in messages for item in of_message]
        is_poison = any(message.is_poison for message, _ in messages)
        newest = messages[-1][0]
        for message, _ in messages:
            await delete(cluster.bus, message)
        groups = dealt(items, chance)
        for number, group in enumerate(groups):
            message_id = f"{newest.id_again(POISON_ID if is_poison else 'repacked')}-{number}"
            await store_again(cluster.bus, newest, message_id=message_id, body=packed(newest.subject, group))
        return len(groups)


def dealt(items: list[bytes], chance: random.Random) -> list[list[bytes]]:
    """Group the items in random order, in messages of random size, some of them as large as allowed."""
    left = list(items)
    chance.shuffle(left)
    groups = []
    while left:
        size = chance.choice((1, chance.randint(1, 1 + len(left) // 2), MAX_ITEMS))
        groups.append(left[:size])
        left = left[size:]
    return groups


def _with_items(messages: list[StoredMessage]) -> list[tuple[StoredMessage, list[bytes]]]:
    """Return the messages that have a list of items, with their items."""
    found = [(message, message.items()) for message in messages]
    return [(message, items) for message, items in found if items]


ITEMS: tuple[Fault, ...] = (UnreadableItem(), Repacked())
