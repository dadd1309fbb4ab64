"""The relay's lease: one relay works on an outbox, another takes over from a dead one, and no other role can stop it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging import Bus, NotStored, leased_outbox
from cafeteria.chassis.messaging import relay as relay_module
from cafeteria.chassis.messaging.leased_outbox import LeasedOutbox
from cafeteria.chassis.messaging.outbox import Outbox, OutboxMessage, OutboxRow
from cafeteria.chassis.messaging.relay import Relay
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.contracts import subjects as names
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

StatusMessage = Callable[..., OutboxMessage]
Holder = Callable[..., Relay]


@pytest.fixture
def relay_of(database: Database, bus: Bus, outbox: Outbox) -> Holder:
    """Make a relay by its holder's name."""

    def make(holder: str, *, over: Bus = bus) -> Relay:
        return Relay(database, over, outbox, service=names.GATEWAY, holder=holder)

    return make


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leased_outbox, "LEASE", timedelta(seconds=1))
    monkeypatch.setattr(leased_outbox, "RENEWED_BY_READ", timedelta(seconds=0.9))


@pytest.fixture
async def add_row(database: Database, outbox: Outbox, status_message: StatusMessage) -> Callable[[], Any]:
    async def add() -> None:
        async with database.transaction() as connection:
            await outbox.add(connection, [status_message()])

    return add


async def lease_of(servers: FixtureServers) -> Any:
    async with servers.database_as_admin() as admin:
        return await admin.fetchrow(
            "SELECT holder, until > now() AS is_live, CASE WHEN isfinite(until) THEN until - now() END AS remains, xmin::text AS version"
            " FROM gateway.relay_lease"
        )


async def give_lease_to(servers: FixtureServers, holder: str, *, interval: str) -> None:
    async with servers.database_as_admin() as admin:
        await admin.execute(
            "UPDATE gateway.relay_lease SET holder = $1, until = now() + CAST($2 AS text)::interval",
            holder,
            interval,
        )


async def outbox_is_empty(servers: FixtureServers) -> bool:
    async with servers.database_as_admin() as admin:
        return await admin.fetchval("SELECT NOT EXISTS (SELECT FROM gateway.outbox)")


def test_a_row_waits_15_s_at_most_for_a_dead_relay() -> None:
    assert leased_outbox.LEASE + timedelta(seconds=relay_module.RETRY_S) == timedelta(seconds=15)
    assert leased_outbox.RENEWED_BY_READ < leased_outbox.RENEWED_BY_DELETE < leased_outbox.LEASE
    renewed_every = leased_outbox.LEASE - leased_outbox.RENEWED_BY_READ
    assert renewed_every < timedelta(seconds=relay_module.WAIT_LIMIT_S / 2)


async def test_a_stopped_relay_gives_its_lease_back(servers: FixtureServers, relay_of: Holder) -> None:
    async with relay_of("first"):
        await until(lambda: is_held_by(servers, "first"))
    assert not (await lease_of(servers))["is_live"]


async def is_held_by(servers: FixtureServers, holder: str) -> bool:
    lease = await lease_of(servers)
    return lease["holder"] == holder and lease["is_live"]


async def test_a_relay_that_cannot_publish_gives_its_lease_to_one_that_can(
    servers: FixtureServers, relay_of: Holder, add_row: Callable[[], Any]
) -> None:
    async with relay_of("cut off", over=RefusingBus()):
        await until(lambda: is_held_by(servers, "cut off"))
        await add_row()
        async with relay_of("connected"):
            await until(lambda: outbox_is_empty(servers))


@pytest.mark.usefixtures("short_lease")
async def test_another_relay_takes_over_from_a_frozen_one(
    servers: FixtureServers, relay_of: Holder, add_row: Callable[[], Any], bus: Bus
) -> None:
    await add_row()
    frozen_bus = FrozenBus(bus)
    async with relay_of("frozen", over=frozen_bus):
        await frozen_bus.entered.wait()
        async with relay_of("awake") as awake:
            await until(lambda: outbox_is_empty(servers))
            frozen_bus.thaw.set()
            await add_row()
            awake.wake()
            await until(lambda: outbox_is_empty(servers))
    assert await stored_messages(servers) == 2, "what both published is stored once"


async def stored_messages(servers: FixtureServers) -> int:
    async with servers.bus_as("admin") as admin:
        info = await admin.jetstream().stream_info(names.NOTIFICATION_STREAM.name)
        return info.state.messages


async def test_the_successor_of_a_killed_process_continues_at_once(
    servers: FixtureServers, relay_of: Holder, add_row: Callable[[], Any]
) -> None:
    await give_lease_to(servers, "machine:8000", interval="1 hour")
    await add_row()
    async with relay_of("machine:8000"):
        await until(lambda: outbox_is_empty(servers))


async def test_a_waiting_relay_counts_the_remaining_rows_and_is_ready(
    relay_of: Holder, add_row: Callable[[], Any], bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "WAIT_LIMIT_S", 5.0)
    await add_row()
    frozen_bus = FrozenBus(bus)
    async with relay_of("first", over=frozen_bus), relay_of("second") as second:
        await frozen_bus.entered.wait()
        await until(lambda: second.remaining_rows == 1)
        await second.check()
        frozen_bus.thaw.set()


async def test_a_lease_that_nobody_renews_shows_in_readiness_and_metric_until_it_ends(
    servers: FixtureServers,
    relay_of: Holder,
    add_row: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "WAIT_LIMIT_S", 1.0)
    await give_lease_to(servers, "nobody", interval="1 hour")
    await add_row()
    async with relay_of("waiting") as waiting:
        await until(lambda: is_refused(waiting))
        assert relay_module.LEASE_WAIT.metric()._value.get() >= 1.0
        assert not await outbox_is_empty(servers)
        await give_lease_to(servers, "nobody", interval="-1 second")
        await until(lambda: outbox_is_empty(servers))
        await waiting.check()
        assert relay_module.LEASE_WAIT.metric()._value.get() == 0


async def is_refused(relay: Relay) -> bool:
    try:
        await relay.check()
    except Unavailable as error:
        return "relay_lease" in error.detail
    return False


async def test_a_lost_row_of_the_lease_is_restored(
    servers: FixtureServers, relay_of: Holder, add_row: Callable[[], Any]
) -> None:
    async with servers.database_as_admin() as admin:
        await admin.execute("TRUNCATE gateway.relay_lease")
    await add_row()
    async with relay_of("first"):
        await until(lambda: outbox_is_empty(servers))


async def test_of_many_relays_that_ask_at_once_one_gets_the_lease(database: Database, outbox: Outbox) -> None:
    async def is_given_to(holder: str) -> bool:
        async with database.statement() as connection:
            return (await LeasedOutbox(outbox, holder=holder).read(connection, limit=1)).is_held

    for turn in range(5):
        given = await asyncio.gather(*(is_given_to(f"{turn}-{number}") for number in range(8)))
        assert sum(given) == (1 if turn == 0 else 0)


@asynccontextmanager
async def holding(database: Database, outbox: Outbox) -> AsyncIterator[Any]:
    async with database.statement() as connection:
        leased = LeasedOutbox(outbox, holder="first")
        await leased.read(connection, limit=1)
        yield leased, connection


async def test_a_read_writes_nothing_while_much_of_the_lease_remains(
    servers: FixtureServers, database: Database, outbox: Outbox
) -> None:
    async with holding(database, outbox) as (leased, connection):
        before = await lease_of(servers)
        for _ in range(3):
            assert (await leased.read(connection, limit=1)).is_held
        assert (await lease_of(servers))["version"] == before["version"]
        await give_lease_to(servers, "first", interval="10 seconds")
        assert (await leased.read(connection, limit=1)).is_held
        assert (await lease_of(servers))["remains"] > timedelta(seconds=13)


async def test_a_delete_renews_the_lease_earlier_than_a_read_would(
    servers: FixtureServers, database: Database, outbox: Outbox
) -> None:
    async with holding(database, outbox) as (leased, connection):
        await give_lease_to(servers, "first", interval="12 seconds")
        await leased.delete(connection, [1])
        assert (await lease_of(servers))["remains"] > timedelta(seconds=13)
        await give_lease_to(servers, "second", interval="12 seconds")
        await leased.delete(connection, [1])
        assert (await lease_of(servers))["holder"] == "second"


@pytest.mark.parametrize("role", [each for each in names.SERVICES if each != names.GATEWAY])
async def test_no_other_role_can_take_the_lease(servers: FixtureServers, role: str) -> None:
    async with servers.database_as(role) as connection:
        for statement in (
            "UPDATE gateway.relay_lease SET holder = current_user, until = 'infinity'",
            "SELECT FROM gateway.relay_lease FOR UPDATE",
            "LOCK TABLE gateway.relay_lease",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with connection.transaction():
                    await connection.execute(statement)


class RefusingBus(Bus):
    """Stores nothing. It has no connection: a relay only publishes."""

    def __init__(self) -> None: ...

    async def publish_stored(self, messages: Sequence[OutboxRow]) -> None:
        raise NotStored("the disk is full")


class FrozenBus(Bus):
    """Publishes over another bus once `thaw` is set."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.entered, self.thaw = asyncio.Event(), asyncio.Event()

    async def publish_stored(self, messages: Sequence[OutboxRow]) -> None:
        self.entered.set()
        await self.thaw.wait()
        await self._bus.publish_stored(messages)
