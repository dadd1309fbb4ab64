"""Message faults: messages that are duplicated, reordered, replayed, lost or unreadable.

They use the administrator's rights: no service may do so, and no failing store does worse.
"""

import asyncio
import random
from dataclasses import dataclass

from cafeteria.contracts.channels import HEADER_MESSAGE_ID
from cafeteria.contracts.subjects import DURABLES, GATEWAY_STATUS, KITCHEN_STATUS, STREAMS, WORK_PLACED
from cafeteria.faultkit.cluster import Cluster
from cafeteria.faultkit.stored_messages import POISON_ID, delete, read_newest, store_again
from cafeteria.rush.faults.fault import Fault
from cafeteria.rush.faults.servers import until_bus_is_whole

FAMILY = "messages"
COPIES = (5, 60)
POISON = (1, 5)
POISON_PAUSE_S = 0.3

UNREADABLE = (
    b"",
    b"{",
    b"\x00\xff\xfe poison",
    b"null",
    b"[]",
    b'{"order_id": "not-an-id"}',
    b'{"orders": {}}',
    b'{"events": "none"}',
    b'{"orders": [{"order_id": "not-an-id"}, null]}',
    b'{"events": [17, {"order_id": "00000000-0000-0000-0000-000000000000"}]}',
    b'"' + b"x" * 100_000 + b'"',
)


@dataclass(frozen=True, kw_only=True)
class Copied(Fault):
    """The newest messages of a stream, stored again in random order under new ids, so that none is recognised.

    With `instead` the originals are removed first, before or after they were read: loss and delay at once.
    """

    name: str
    instead: bool
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        stream = chance.choice(STREAMS).name
        messages = await read_newest(cluster.bus, stream, count=chance.randint(*COPIES))
        if self.instead:
            for message in messages:
                await delete(cluster.bus, message)
        chance.shuffle(messages)
        for message in messages:
            await store_again(cluster.bus, message, message_id=message.id_again())
        return f"{len(messages)} messages of {stream}"


class Lost(Fault):
    """Purges all messages of a stream, read or not; the stream itself stays."""

    name = "messages-lost"
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        stream = chance.choice(STREAMS).name
        purged = await cluster.bus.ask(f"STREAM.PURGE.{stream}")
        return f"{purged['purged']} messages of {stream}"


class Replayed(Fault):
    """Deletes a durable consumer and its position; its replacement receives the stream's whole history."""

    name = "history-replayed"
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        durable = chance.choice(DURABLES)
        await cluster.bus.ask(f"CONSUMER.DELETE.{durable.stream}.{durable.name}")
        await until_bus_is_whole(cluster)
        history = (await cluster.bus.stream(durable.stream))["messages"]
        return f"{durable.name}, {history} messages"


class Poison(Fault):
    """Unreadable messages, as a whole or item by item, among valid ones."""

    name = "poison"
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        published = 0
        for _ in range(chance.randint(*POISON)):
            topic = chance.choice((WORK_PLACED, GATEWAY_STATUS, KITCHEN_STATUS))
            headers = {HEADER_MESSAGE_ID: f"{POISON_ID}-{chance.getrandbits(64):x}"}
            await cluster.bus.publish(topic.subject, chance.choice(UNREADABLE), headers)
            published += 1
            await asyncio.sleep(POISON_PAUSE_S)
        return f"{published} messages"


MESSAGES: tuple[Fault, ...] = (
    Copied(name="messages-duplicated", instead=False),
    Copied(name="messages-reordered", instead=True),
    Lost(),
    Replayed(),
    Poison(),
)
