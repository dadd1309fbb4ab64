"""Server faults: Postgres and NATS are restarted, frozen, stopped, wiped, disconnected or locked."""

import asyncio
import random
import signal
from contextlib import suppress
from dataclasses import dataclass

import asyncpg
import nats.errors

from cafeteria.chassis.messaging.jetstream_api import Refused
from cafeteria.contracts.subjects import DURABLES, STREAMS
from cafeteria.faultkit.cluster import NATS, POSTGRES, Cluster
from cafeteria.local_stack.polling import until
from cafeteria.rush.faults.clients import EverybodyOrders
from cafeteria.rush.faults.fault import Fault

FROZEN_S = (0.3, 5.0)
AWAY_S = (6.0, 8.0)
ORDERS_EACH = 2
BUS_WITHIN_S = 30.0
ROGUE_LOCK_S = 10.0
TERMINATIONS = (2, 8)
TERMINATION_PAUSE_S = (0.05, 0.4)

FAMILY = "servers"


@dataclass(frozen=True, kw_only=True)
class Restart(Fault):
    """A signal ends the server, and the supervisor restarts it at once."""

    name: str
    server: str
    number: signal.Signals
    family = FAMILY

    async def inject(self, cluster: Cluster, _chance: random.Random) -> str:
        async with cluster.lock(self.server):
            cluster.stack.kill(self.server, self.number)
            await cluster.ready(self.server)
        if self.server == NATS:
            await until_bus_is_whole(cluster)
        return self.number.name


@dataclass(frozen=True, kw_only=True)
class FreezeServer(Fault):
    name: str
    server: str
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        for_s = chance.uniform(*FROZEN_S)
        async with cluster.lock(self.server):
            with cluster.stack.frozen(self.server):
                await asyncio.sleep(for_s)
        return f"for {for_s:.1f} s"


class NatsAway(Fault):
    """NATS is stopped for some seconds while all students order: orders stay PENDING and rows wait in the outboxes, so
    that the later requests and messages are as large as possible.
    """

    name = "nats-away"
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        for_s = chance.uniform(*AWAY_S)
        orders = EverybodyOrders(cluster, chance, times=ORDERS_EACH)
        await orders.choose()
        async with cluster.lock(NATS):
            await cluster.stack.stop(NATS)
            try:
                await asyncio.gather(orders.send(), asyncio.sleep(for_s))
            finally:
                await cluster.stack.start(NATS)
        await until_bus_is_whole(cluster)
        await orders.until_answered()
        return f"for {for_s:.1f} s, with {len(orders)} orders"


class WipeNats(Fault):
    """NATS is killed and its store removed: every stream, message and durable consumer is lost."""

    name = "nats-wipe"
    family = FAMILY

    async def inject(self, cluster: Cluster, _chance: random.Random) -> str:
        async with cluster.lock(NATS):
            await cluster.stack.wipe_nats()
        await until_bus_is_whole(cluster)
        return "the store is gone"


class TerminateBackends(Fault):
    """Postgres sessions end at random, between and within statements, also within a COMMIT."""

    name = "backends-terminated"
    family = FAMILY

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        ended = 0
        share = chance.uniform(0.1, 1.0)
        async with cluster.database() as connection:
            for _ in range(chance.randint(*TERMINATIONS)):
                pids = [row[0] for row in await connection.fetch(_SESSIONS)]
                for pid in pids:
                    if chance.random() < share:
                        ended += await connection.fetchval("SELECT pg_terminate_backend($1)", pid)
                await asyncio.sleep(chance.uniform(*TERMINATION_PAUSE_S))
        return f"{ended} sessions"


_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'cafeteria-%' ORDER BY pid"

ROGUE_LOCKS = (
    "SELECT FROM stock.inventory ORDER BY item_id LIMIT 5 FOR UPDATE",
    "SELECT FROM gateway.orders WHERE status NOT IN ('READY', 'COLLECTED', 'REJECTED') FOR UPDATE",
    "SELECT FROM gateway.idempotency_keys ORDER BY created_at DESC LIMIT 200 FOR UPDATE",
    "SELECT FROM kitchen.kitchen_orders ORDER BY received_at DESC LIMIT 200 FOR UPDATE",
    "SELECT FROM notification.position_counter FOR UPDATE",
    "SELECT FROM gateway.outbox FOR UPDATE",
    "SELECT FROM gateway.relay_lease FOR UPDATE",
)


class RogueLock(Fault):
    """Another database session locks rows that all services need, for 10 s."""

    name = "rogue-lock"
    family = FAMILY
    weight = 0.5

    async def inject(self, cluster: Cluster, chance: random.Random) -> str:
        rows = chance.choice(ROGUE_LOCKS)
        with suppress(asyncpg.PostgresError, OSError):  # the server may be restarted meanwhile
            async with cluster.database() as connection, connection.transaction():
                await connection.execute(rows)
                await asyncio.sleep(ROGUE_LOCK_S)
        return rows.removeprefix("SELECT FROM ").partition(" ")[0]


async def until_bus_is_whole(cluster: Cluster) -> None:
    """Wait until every stream and durable consumer exists. Raises TimeoutError."""

    async def is_whole() -> bool:
        try:
            for stream in STREAMS:
                await cluster.bus.stream(stream.name)
            for durable in DURABLES:
                await cluster.bus.unread(durable.stream, durable.name)
        except (nats.errors.Error, Refused, TimeoutError):
            return False
        return True

    async with asyncio.timeout(BUS_WITHIN_S):
        await until(is_whole, timeout_s=BUS_WITHIN_S, poll_s=0.1)


SERVERS: tuple[Fault, ...] = (
    Restart(name="nats-kill", server=NATS, number=signal.SIGKILL),
    FreezeServer(name="nats-freeze", server=NATS),
    NatsAway(),
    WipeNats(),
    Restart(name="postgres-fast", server=POSTGRES, number=signal.SIGINT),
    Restart(name="postgres-immediate", server=POSTGRES, number=signal.SIGQUIT),
    Restart(name="postgres-kill", server=POSTGRES, number=signal.SIGKILL),
    FreezeServer(name="postgres-freeze", server=POSTGRES),
    TerminateBackends(),
    RogueLock(),
)
