"""The types of which a service's `message_handlers.py` is made: its inbound messages, declared as data.

Each function in a declaration gets the service as its first argument.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.messaging.bus import Bus
from cafeteria.chassis.messaging.consumer import Consumer
from cafeteria.chassis.messaging.dead_letters import DeadLetters
from cafeteria.chassis.messaging.lag import ConsumerLag
from cafeteria.contracts.channels import Durable, Rpc, Topic

Service = TypeVar("Service")


class Handler(msgspec.Struct, Generic[Service], frozen=True, kw_only=True):
    """Answers the requests of `rpc`, concurrently. With `takes_items` it gets the readable items of a request that is a list."""

    rpc: Rpc[Any, Any]
    answer: Callable[[Service, Any], Awaitable[Any]]
    takes_items: bool = False


class Subscription(msgspec.Struct, Generic[Service], frozen=True, kw_only=True):
    """Handles the events of a topic that no stream stores: one that arrives while this process is away is lost."""

    topic: Topic[Any]
    handle: Callable[[Service, Any], None]


class StreamConsumer(msgspec.Struct, Generic[Service], frozen=True, kw_only=True):
    """Commits the items of a durable, shared by all replicas; a message is acknowledged after the commit of its items.

    `dead_letters` stores what cannot be read or handled. `lag` follows how far the consumer has come.
    """

    durable: Durable
    topic: Topic[Any]
    batcher: Callable[[Service], GroupCommit[Any, None]]
    lag: Callable[[Service], ConsumerLag]
    dead_letters: sa.Table

    def of(self, service: Service, *, bus: Bus, database: Database) -> Consumer[Any]:
        """Return the consumer of `service`."""
        return Consumer(
            bus,
            self.durable,
            self.topic,
            self.batcher(service),
            DeadLetters(database, self.dead_letters),
            lag=self.lag(service),
        )
