"""Stored messages are published packed and acknowledged after the commit, also when the server fails."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import nats.errors
import pytest

from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.messaging import Bus, Consumer, NotStored
from cafeteria.chassis.messaging.dead_letters import DeadLetters
from cafeteria.chassis.messaging.lag import ConsumerLag
from cafeteria.chassis.messaging.outbox import OutboxRow
from cafeteria.contracts import subjects as names
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

StoredStatus = Callable[..., OutboxRow]
Condition = Callable[[], Awaitable[bool]]


class Reader:
    """Commits events to memory; each commit first raises one of the `failures`."""

    def __init__(self) -> None:
        self.bodies: list[OrderStatusChanged] = []
        self.failures: list[Exception] = []

    async def commit(self, items: list[OrderStatusChanged]) -> Sequence[None]:
        if self.failures:
            raise self.failures.pop()
        self.bodies += items
        return [None] * len(items)

    @property
    def order_ids(self) -> set[object]:
        return {body.order_id for body in self.bodies}

    def has(self, row: OutboxRow) -> bool:
        return order_id_of(row) in self.order_ids


def order_id_of(row: OutboxRow) -> UUID:
    return msgspec.json.decode(row.body, type=OrderStatusChanged).order_id


def consumer(bus: Bus, group: GroupCommit, dead_letters: DeadLetters) -> Consumer[OrderStatusChanged]:
    return Consumer(
        bus,
        names.GATEWAY_PROJECTION,
        names.KITCHEN_STATUS,
        group,
        dead_letters,
        lag=ConsumerLag(bus, names.GATEWAY_PROJECTION),
    )


@pytest.mark.parametrize(("count", "stored"), [(1, 1), (256, 1), (257, 2)])
async def test_equal_messages_are_stored_once(
    kitchen_bus: Bus, servers: FixtureServers, stored_status: StoredStatus, count: int, stored: int
) -> None:
    messages = [stored_status(names.KITCHEN_STATUS) for _ in range(count)]
    await kitchen_bus.publish_stored(messages)
    await kitchen_bus.publish_stored(messages)
    async with servers.bus_as("admin") as admin:
        info = await admin.jetstream().stream_info(names.NOTIFICATION_STREAM.name)
    assert info.state.messages == stored


async def test_a_row_that_is_packed_again_with_new_ones_does_not_hide_them(
    bus: Bus, kitchen_bus: Bus, dead_letters: DeadLetters, stored_status: StoredStatus
) -> None:
    reader = Reader()
    messages = [stored_status(names.KITCHEN_STATUS) for _ in range(20)]
    await kitchen_bus.publish_stored(messages[7:8])
    await kitchen_bus.publish_stored(messages)
    async with (
        GroupCommit("read", reader.commit) as group,
        consumer(bus, group, dead_letters),
    ):
        await until(lambda: len(reader.order_ids) == 20)


async def test_publishing_without_the_server_raises(
    kitchen_bus: Bus, servers: FixtureServers, stored_status: StoredStatus
) -> None:
    servers.nats.kill()
    await servers.nats.ended()
    with pytest.raises(NotStored):
        await kitchen_bus.publish_stored([stored_status(names.KITCHEN_STATUS)])


async def test_messages_are_acknowledged_after_their_commit(
    bus: Bus,
    kitchen_bus: Bus,
    dead_letters: DeadLetters,
    stored_status: StoredStatus,
    projection_is_acknowledged: Condition,
) -> None:
    reader = Reader()
    messages = [stored_status(names.KITCHEN_STATUS) for _ in range(2000)]
    async with (
        GroupCommit("read", reader.commit) as group,
        consumer(bus, group, dead_letters),
    ):
        for start in range(0, 2000, 500):
            await kitchen_bus.publish_stored(messages[start : start + 500])
        await until(lambda: len(reader.bodies) >= 2000)
    assert [body.order_id for body in reader.bodies] == [order_id_of(message) for message in messages]
    await until(projection_is_acknowledged)


async def test_a_consumer_that_starts_while_the_connection_is_lost_reads_once_it_is_back(
    bus: Bus,
    kitchen_bus: Bus,
    dead_letters: DeadLetters,
    stored_status: StoredStatus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, tried, subscribe = Reader(), asyncio.Event(), bus.client.subscribe

    async def fail_once(*arguments: Any, **options: Any) -> Any:
        if tried.is_set():
            return await subscribe(*arguments, **options)
        tried.set()
        raise nats.errors.ConnectionClosedError

    monkeypatch.setattr(bus.client, "subscribe", fail_once)
    message = stored_status(names.KITCHEN_STATUS)
    await kitchen_bus.publish_stored([message])
    async with (
        GroupCommit("read", reader.commit) as group,
        consumer(bus, group, dead_letters),
    ):
        await until(lambda: reader.order_ids == {order_id_of(message)})


async def test_after_a_lost_connection_no_message_goes_to_an_old_pull_request(
    bus: Bus, kitchen_bus: Bus, dead_letters: DeadLetters, stored_status: StoredStatus
) -> None:
    """The server must not fill the old connection's pull request: it would redeliver such a message only 5 s later."""
    reader, reconnected = Reader(), asyncio.Event()
    messages = [stored_status(names.KITCHEN_STATUS) for _ in range(40)]
    async with (
        GroupCommit("read", reader.commit) as group,
        consumer(bus, group, dead_letters),
    ):
        await kitchen_bus.publish_stored(messages[:1])
        await until(lambda: len(reader.bodies) == 1)
        bus.on_reconnect(reconnected.set)
        bus.client.drop_connection()
        await asyncio.wait_for(reconnected.wait(), timeout=10)
        for message in messages[1:]:
            await kitchen_bus.publish_stored([message])
        await until(lambda: len(reader.bodies) >= 40)
    assert [body.order_id for body in reader.bodies] == [order_id_of(message) for message in messages]


async def test_messages_of_a_failed_commit_are_redelivered(
    bus: Bus,
    kitchen_bus: Bus,
    dead_letters: DeadLetters,
    stored_status: StoredStatus,
    projection_is_acknowledged: Condition,
) -> None:
    reader = Reader()
    reader.failures = [DatabaseUnavailable(), DatabaseUnavailable(), RuntimeError("unforeseen")]
    message = stored_status(names.KITCHEN_STATUS)
    async with (
        GroupCommit("read", reader.commit) as group,
        consumer(bus, group, dead_letters),
    ):
        await kitchen_bus.publish_stored([message])
        await until(lambda: reader.order_ids == {order_id_of(message)})
        await until(projection_is_acknowledged)
    assert len(reader.bodies) == 1


async def test_a_consumer_continues_after_nats_was_killed_and_after_its_data_was_deleted(
    bus: Bus,
    kitchen_bus: Bus,
    dead_letters: DeadLetters,
    servers: FixtureServers,
    stored_status: StoredStatus,
) -> None:
    reader = Reader()
    async with (
        GroupCommit("read", reader.commit) as group,
        consumer(bus, group, dead_letters),
    ):
        for disrupt in (_killed_and_started, _wiped):
            before = stored_status(names.KITCHEN_STATUS)
            await _published(kitchen_bus, before)
            await until(partial(reader.has, before))
            await disrupt(servers)
            after = stored_status(names.KITCHEN_STATUS)
            await _published(kitchen_bus, after)
            await until(partial(reader.has, after))


async def test_two_consumers_share_the_work(
    bus: Bus, kitchen_bus: Bus, dead_letters: DeadLetters, stored_status: StoredStatus
) -> None:
    first, second = Reader(), Reader()
    messages = [stored_status(names.KITCHEN_STATUS) for _ in range(1500)]
    async with (
        GroupCommit("first", first.commit) as one,
        GroupCommit("second", second.commit) as two,
        consumer(bus, one, dead_letters),
        consumer(bus, two, dead_letters),
    ):
        for start in range(0, 1500, 500):
            rows = messages[start : start + 500]
            await asyncio.gather(*(kitchen_bus.publish_stored([row]) for row in rows))
        await until(lambda: len(first.order_ids | second.order_ids) == 1500)
    assert first.order_ids | second.order_ids == {order_id_of(message) for message in messages}


async def _killed_and_started(servers: FixtureServers) -> None:
    await servers.nats.stop()
    await servers.nats.start()


async def _wiped(servers: FixtureServers) -> None:
    await servers.wipe_nats()


async def _published(bus: Bus, message: OutboxRow) -> None:
    """Publish until the message is stored, as the relay does."""
    async with asyncio.timeout(15):
        while True:
            try:
                await bus.publish_stored([message])
            except NotStored:
                await asyncio.sleep(0.1)
            else:
                return
