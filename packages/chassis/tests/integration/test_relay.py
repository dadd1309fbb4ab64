"""The outbox and its relay: a change and its message are one commit, and the message survives every fault."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import nats.errors
import pytest

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging import Bus, NotStored
from cafeteria.chassis.messaging import relay as relay_module
from cafeteria.chassis.messaging.leased_outbox import LeasedOutbox
from cafeteria.chassis.messaging.outbox import Outbox, OutboxMessage, OutboxRow
from cafeteria.chassis.messaging.relay import Relay
from cafeteria.contracts import subjects as names
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

StatusMessage = Callable[..., OutboxMessage]


async def stored_items(servers: FixtureServers) -> list[bytes]:
    """Return the items of the stream's messages, in their order."""
    return [bytes(item) for body in await stored_bodies(servers) for item in _EVENTS.decode(body)["events"]]


_EVENTS = msgspec.json.Decoder(dict[str, list[msgspec.Raw]])


async def stored_bodies(servers: FixtureServers) -> list[bytes]:
    """Return the bodies of the stream's messages, in their order."""
    async with servers.bus_as("admin") as admin:
        stream = admin.jetstream()
        info = await stream.stream_info(names.NOTIFICATION_STREAM.name)
        bodies = []
        for sequence in range(info.state.first_seq, info.state.last_seq + 1):
            message = await stream.get_msg(names.NOTIFICATION_STREAM.name, sequence)
            bodies.append(message.data or b"")
        return bodies


async def outbox_rows(servers: FixtureServers) -> int:
    async with servers.database_as("gateway") as connection:
        return await connection.fetchval("SELECT count(*) FROM gateway.outbox")


async def add(database: Database, outbox: Outbox, messages: list[OutboxMessage]) -> None:
    async with database.transaction() as connection:
        await outbox.add(connection, messages)


async def test_rows_are_published_in_the_order_of_their_ids_and_then_deleted(
    bus: Bus, database: Database, outbox: Outbox, servers: FixtureServers, status_message: StatusMessage
) -> None:
    messages = [status_message() for _ in range(30)]
    async with Relay(database, bus, outbox, service=names.GATEWAY, holder="first") as relay:
        await add(database, outbox, messages)
        relay.wake()
        await until(lambda: _is_empty(servers))
    assert await stored_items(servers) == [message.body for message in messages]
    assert len(await stored_bodies(servers)) == 1


async def test_a_rolled_back_change_publishes_nothing(
    bus: Bus, database: Database, outbox: Outbox, servers: FixtureServers, status_message: StatusMessage
) -> None:
    async def change_and_fail() -> None:
        async with database.transaction() as connection:
            await outbox.add(connection, [status_message()])
            raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError, match="changed my mind"):
        await change_and_fail()
    assert await outbox_rows(servers) == 0


async def test_rows_of_an_earlier_process_are_published_without_a_wake(
    bus: Bus, database: Database, outbox: Outbox, servers: FixtureServers, status_message: StatusMessage
) -> None:
    await add(database, outbox, [status_message()])
    async with Relay(database, bus, outbox, service=names.GATEWAY, holder="first"):
        await until(lambda: _is_empty(servers))
    assert len(await stored_bodies(servers)) == 1


async def test_rows_wait_while_nats_is_away_and_are_then_published_once(
    bus: Bus, database: Database, outbox: Outbox, servers: FixtureServers, status_message: StatusMessage
) -> None:
    messages = [status_message() for _ in range(25)]
    async with Relay(database, bus, outbox, service=names.GATEWAY, holder="first") as relay:
        servers.nats.kill()
        await servers.nats.ended()
        await add(database, outbox, messages)
        relay.wake()
        assert await outbox_rows(servers) == 25
        await servers.nats.start()
        await until(lambda: _is_empty(servers))
    assert sorted(await stored_items(servers)) == sorted(message.body for message in messages)


async def test_rows_that_a_dead_relay_published_but_did_not_delete_are_stored_once(
    bus: Bus, database: Database, outbox: Outbox, servers: FixtureServers, status_message: StatusMessage
) -> None:
    messages = [status_message() for _ in range(15)]
    await add(database, outbox, messages)
    async with database.statement() as connection:
        reading = await LeasedOutbox(outbox, holder="first").read(connection, limit=15)
    await bus.publish_stored(reading.rows)
    async with Relay(database, bus, outbox, service=names.GATEWAY, holder="first"):
        await until(lambda: _is_empty(servers))
    assert len(await stored_items(servers)) == 15


async def test_rows_are_published_while_connections_are_cut(
    bus: Bus, database: Database, outbox: Outbox, servers: FixtureServers, status_message: StatusMessage
) -> None:
    async with (
        Relay(database, bus, outbox, service=names.GATEWAY, holder="first") as first,
        Relay(database, bus, outbox, service=names.GATEWAY, holder="second") as second,
    ):
        for _ in range(5):
            await add(database, outbox, [status_message() for _ in range(12)])
            first.wake()
            second.wake()
            async with servers.database_as_admin() as admin:
                await admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway'"
                )
            await until(lambda: _is_empty(servers))
    assert len(set(await stored_items(servers))) == 60


async def test_two_running_relays_publish_each_row_once(
    bus: Bus, database: Database, outbox: Outbox, servers: FixtureServers, status_message: StatusMessage
) -> None:
    async with (
        Relay(database, bus, outbox, service=names.GATEWAY, holder="first") as first,
        Relay(database, bus, outbox, service=names.GATEWAY, holder="second") as second,
    ):
        batches = [[status_message() for _ in range(20)] for _ in range(10)]
        await asyncio.gather(*(add(database, outbox, batch) for batch in batches))
        first.wake()
        second.wake()
        await until(lambda: _is_empty(servers))
    assert len(await stored_items(servers)) == 200


async def test_rows_that_are_added_soon_after_a_pass_wait_for_the_next_and_do_not_delay_the_stop(
    bus: Bus, database: Database, outbox: Outbox, servers: FixtureServers, status_message: StatusMessage
) -> None:
    async with (
        asyncio.timeout(30),
        Relay(database, bus, outbox, service=names.GATEWAY, holder="first", every_s=60) as relay,
    ):
        await add(database, outbox, [status_message()])
        relay.wake()
        await until(lambda: _is_empty(servers))
        await add(database, outbox, [status_message()])
        relay.wake()
    assert await outbox_rows(servers) == 1


async def test_the_number_of_remaining_rows_is_counted_while_a_pass_leaves_rows(
    bus: Bus,
    database: Database,
    outbox: Outbox,
    status_message: StatusMessage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "PASS_LIMIT", 10)
    await add(database, outbox, [status_message() for _ in range(25)])
    stepped = SteppedBus(bus)
    async with Relay(database, stepped, outbox, service=names.GATEWAY, holder="first") as relay:
        stepped.passes.release()
        await until(lambda: relay.remaining_rows == 15)
        assert relay_module.REMAINING.metric()._value.get() == 15
        stepped.passes.release()
        await until(lambda: relay.remaining_rows == 5)
        stepped.passes.release()
        await until(lambda: relay.remaining_rows == 0)


async def test_a_failing_relay_continues_to_count(
    database: Database, outbox: Outbox, status_message: StatusMessage
) -> None:
    async with Relay(database, RefusingBus(), outbox, service=names.GATEWAY, holder="first") as relay:
        await add(database, outbox, [status_message()])
        await until(lambda: relay._failing)
        await add(database, outbox, [status_message() for _ in range(4)])
        await until(lambda: relay.remaining_rows == 5)


async def test_the_age_of_the_oldest_row_rises_while_nothing_is_published(
    bus: Bus, database: Database, outbox: Outbox, status_message: StatusMessage
) -> None:
    def oldest_s() -> float:
        [sample] = [each for metric in relay_module.OLDEST.metric().collect() for each in metric.samples]
        return sample.value

    async with Relay(database, RefusingBus(), outbox, service=names.GATEWAY, holder="first"):
        assert oldest_s() == 0
        await add(database, outbox, [status_message()])
        await until(lambda: oldest_s() > 0.5)
        before = oldest_s()
        await add(database, outbox, [status_message()])  # a younger one makes it no younger
        await until(lambda: oldest_s() > before + 0.5)
    async with Relay(database, bus, outbox, service=names.GATEWAY, holder="first"):
        await until(lambda: oldest_s() == 0)


class RefusingBus(Bus):
    """Stores nothing. It has no connection: a relay only publishes."""

    def __init__(self) -> None: ...

    async def publish_stored(self, messages: Sequence[OutboxRow]) -> None:
        raise NotStored("the disk is full")


class SteppedBus(Bus):
    """Publishes once for each release of `passes`, over another bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.passes = asyncio.Semaphore(0)

    async def publish_stored(self, messages: Sequence[OutboxRow]) -> None:
        await self.passes.acquire()
        await self._bus.publish_stored(messages)


async def _is_empty(servers: FixtureServers) -> bool:
    return await outbox_rows(servers) == 0


@pytest.mark.parametrize(("lost", "added"), [(1, 1), (1, 20), (5, 4), (20, 1), (20, 20), (3, 15)])
async def test_rows_added_after_a_lost_acknowledgement_are_stored_too(
    bus: Bus,
    database: Database,
    outbox: Outbox,
    servers: FixtureServers,
    status_message: StatusMessage,
    monkeypatch: pytest.MonkeyPatch,
    *,
    lost: int,
    added: int,
) -> None:
    """The retry packs old rows with new ones: stored rows must not hide new ones as duplicates."""
    request, answers_lost = bus.client.request, asyncio.Event()

    async def lose_the_answer(*arguments: Any, **options: Any) -> None:
        await request(*arguments, **options)
        answers_lost.set()
        raise nats.errors.TimeoutError

    first, second = ([status_message() for _ in range(count)] for count in (lost, added))
    async with Relay(database, bus, outbox, service=names.GATEWAY, holder="first") as relay:
        monkeypatch.setattr(bus.client, "request", lose_the_answer)
        await add(database, outbox, first)
        relay.wake()
        await answers_lost.wait()
        await add(database, outbox, second)
        monkeypatch.setattr(bus.client, "request", request)
        relay.wake()
        await until(lambda: _is_empty(servers))
    assert set(await stored_items(servers)) == {message.body for message in first + second}
