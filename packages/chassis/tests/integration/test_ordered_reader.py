"""A stream read in its order: every message once as long as batches succeed, whatever happens to the consumer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cafeteria.chassis.messaging import Bus, ordered_consumer
from cafeteria.chassis.messaging.lag import StreamLag
from cafeteria.chassis.messaging.ordered_consumer import OrderedConsumer
from cafeteria.chassis.messaging.ordered_reader import STOP_WITHIN_S, Batch, OrderedReader, ReadState
from cafeteria.chassis.messaging.outbox import OutboxRow
from cafeteria.chassis.messaging.publisher import pack
from cafeteria.chassis.messaging.pull_requests import PULL_MESSAGES, SILENCE_S
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts import subjects as names

STREAM = names.NOTIFICATION_STREAM.name

StoredStatus = Callable[..., OutboxRow]


class Book:
    """Remembers what it has taken, and how far in which life of the stream, as a service's table does."""

    def __init__(self) -> None:
        self.epoch = ""
        self.sequence = 0
        self.bodies: list[bytes] = []
        self.batches: list[int] = []
        self.starts = 0
        self.failures = 0
        self.may_commit = asyncio.Event()
        self.may_commit.set()

    async def start_position(self, read_state: ReadState) -> int:
        state = await read_state()
        self.starts += 1
        if state.epoch != self.epoch or state.last_sequence < self.sequence:
            self.epoch, self.sequence = state.epoch, 0
        return self.sequence

    async def on_batch(self, batch: Batch) -> None:
        await self.may_commit.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the database is away")
        assert batch.epoch == self.epoch
        assert batch.messages[0].sequence > self.sequence
        self.sequence = batch.last_sequence
        self.bodies += [message.body for message in batch.messages]
        self.batches.append(len(batch.messages))


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def reader_bus(service_settings: Callable[..., Any], clean: None) -> AsyncIterator[Bus]:
    settings = service_settings(names.NOTIFICATION, ServiceSettings)
    async with Bus(settings, service=names.NOTIFICATION) as bus:
        await bus.connected()
        yield bus


@pytest.fixture
def lag(reader_bus: Bus) -> StreamLag:
    return StreamLag(reader_bus, names.NOTIFICATION_STREAM)


def reader_of(bus: Bus, book: Book, lag: StreamLag) -> OrderedReader:
    return OrderedReader(
        bus,
        names.NOTIFICATION_STREAM,
        lag=lag,
        start_position=book.start_position,
        on_batch=book.on_batch,
    )


@pytest.fixture
async def reader(reader_bus: Bus, book: Book, lag: StreamLag) -> AsyncIterator[OrderedReader]:
    async with reader_of(reader_bus, book, lag) as reader:
        yield reader


async def publish(bus: Bus, stored_status: StoredStatus, count: int) -> list[bytes]:
    """Each as a message of its own; returns their bodies."""
    rows = [stored_status() for _ in range(count)]
    await asyncio.gather(*(bus.publish_stored([row]) for row in rows))
    return [message.body for row in rows for message in pack([row])]


async def consumers_in_use(admin: Any) -> list[str]:
    """Those on which somebody's request is open."""
    consumers = await admin.jetstream().consumers_info(STREAM)
    return [consumer.name for consumer in consumers if consumer.num_waiting]


async def test_it_reads_from_the_beginning_and_goes_on_with_what_comes(
    bus: Bus, reader: OrderedReader, book: Book, lag: StreamLag, stored_status: StoredStatus, wait_until
) -> None:
    told = await publish(bus, stored_status, 300)
    await wait_until(lambda: len(book.bodies) == 300)
    for _ in range(5):
        told += await publish(bus, stored_status, 1)
    await wait_until(lambda: len(book.bodies) == 305 and lag.messages == 0)
    assert book.bodies == told
    assert max(book.batches) <= PULL_MESSAGES
    assert not await lag.is_behind()
    assert book.starts == 1


async def test_more_than_it_has_room_for_waits_at_the_server(
    bus: Bus, reader: OrderedReader, book: Book, lag: StreamLag, stored_status: StoredStatus, wait_until
) -> None:
    book.may_commit.clear()
    told = []
    for _ in range(6):
        told += await publish(bus, stored_status, 500)
    await wait_until(lambda: (lag.messages or 0) >= PULL_MESSAGES)
    assert await lag.is_behind()
    book.may_commit.set()
    await wait_until(lambda: len(book.bodies) == 3000, timeout_s=30)
    assert book.bodies == told
    assert book.starts == 1


async def test_it_goes_on_after_what_was_taken(
    bus: Bus, reader_bus: Bus, book: Book, lag: StreamLag, stored_status: StoredStatus, wait_until
) -> None:
    await publish(bus, stored_status, 10)
    for _ in range(2):
        async with reader_of(reader_bus, book, lag):
            await wait_until(lambda: lag.messages == 0 and len(book.bodies) >= 10)
    assert len(book.bodies) == 10


async def test_a_batch_that_fails_is_tried_again_and_never_passed(
    bus: Bus, reader: OrderedReader, book: Book, stored_status: StoredStatus, wait_until
) -> None:
    book.failures = 3
    told = await publish(bus, stored_status, 1)
    told += await publish(bus, stored_status, 50)
    await wait_until(lambda: len(book.bodies) == 51)
    assert book.bodies == told
    assert book.starts == 1


async def test_a_removed_consumer_is_created_again_without_a_gap(
    bus: Bus, reader: OrderedReader, book: Book, servers, stored_status: StoredStatus, wait_until
) -> None:
    told = await publish(bus, stored_status, 5)
    await wait_until(lambda: len(book.bodies) == 5)
    async with servers.bus_as("admin") as admin:
        for consumer in await wait_until(lambda: consumers_in_use(admin)):
            await admin.jetstream().delete_consumer(STREAM, consumer)
    told += await publish(bus, stored_status, 5)
    await wait_until(lambda: len(book.bodies) == 10)
    assert book.bodies == told
    assert book.starts == 2


async def test_two_that_choose_the_same_consumer_at_once_both_read_everything(
    bus: Bus, reader_bus: Bus, stored_status: StoredStatus, wait_until, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[str] = []
    both_have_looked, find_free = asyncio.Barrier(2), OrderedConsumer._free_names

    async def find_free_together(consumer: OrderedConsumer) -> list[str]:
        free = await find_free(consumer)
        if len(chosen) < 2:
            await both_have_looked.wait()
        return free

    def choose(free: list[str]) -> str:
        chosen.append(free[0] if len(chosen) < 2 else free[-1 - len(chosen) % 2])
        return chosen[-1]

    monkeypatch.setattr(OrderedConsumer, "_free_names", find_free_together)
    monkeypatch.setattr(ordered_consumer, "choice", choose)
    told = await publish(bus, stored_status, 40)
    books = Book(), Book()
    async with AsyncExitStack() as running:
        for book in books:
            reader = reader_of(reader_bus, book, StreamLag(reader_bus, names.NOTIFICATION_STREAM))
            await running.enter_async_context(reader)
        await wait_until(lambda: len(chosen) > 2 and all(len(book.bodies) >= 40 for book in books))
        for _ in range(5):
            told += await publish(bus, stored_status, 1)
        await wait_until(lambda: all(len(book.bodies) == 45 for book in books))
    assert chosen[0] == chosen[1]
    assert [book.bodies for book in books] == [told, told]


async def test_a_consumer_that_somebody_sets_back_leads_to_no_gap(
    bus: Bus, reader: OrderedReader, book: Book, servers, stored_status: StoredStatus, wait_until
) -> None:
    """A process that was stopped between its choice and its first step."""
    told = await publish(bus, stored_status, 20)
    await wait_until(lambda: len(book.bodies) == 20)
    for place in (30, 1, 15):
        async with servers.bus_as("admin") as admin:
            for consumer in await wait_until(lambda: consumers_in_use(admin)):
                subject = f"$JS.API.CONSUMER.RESET.{STREAM}.{consumer}"
                await admin.request(subject, b'{"seq": %d}' % place, timeout=2)
        told += await publish(bus, stored_status, 20)
        await wait_until(lambda told=tuple(told): len(book.bodies) >= len(told))
    assert book.bodies == told


async def test_messages_that_were_deleted_hold_nobody_up(
    bus: Bus, reader_bus: Bus, book: Book, lag: StreamLag, servers, stored_status: StoredStatus, wait_until
) -> None:
    """At the place where a reader begins, and behind it."""
    told = await publish(bus, stored_status, 5)
    async with servers.bus_as("admin") as admin:
        first = (await admin.jetstream().stream_info(STREAM)).state.first_seq
        for place in (0, 1, 4):
            await admin.jetstream().delete_msg(STREAM, first + place)
    async with reader_of(reader_bus, book, lag):
        await wait_until(lambda: len(book.bodies) == 2)
    async with reader_of(reader_bus, book, lag):
        await wait_until(lambda: lag.messages == 0)
        told += await publish(bus, stored_status, 1)
        await wait_until(lambda: len(book.bodies) == 3)
    assert book.bodies == [told[2], told[3], told[5]]
    assert book.starts == 2


async def test_messages_without_anything_in_them_hold_nobody_up(
    bus: Bus, reader: OrderedReader, book: Book, stored_status: StoredStatus, wait_until
) -> None:
    """The server takes one for the last answer to the request that it answers."""
    told = []
    for _ in range(5):
        for _ in range(4):
            await bus.client.publish(names.GATEWAY_STATUS.subject, b"")
        told += [b""] * 4 + await publish(bus, stored_status, 3)
    await wait_until(lambda: len(book.bodies) == len(told))
    assert book.bodies == told


async def test_a_recreated_stream_is_read_from_its_beginning(
    bus: Bus,
    reader: OrderedReader,
    book: Book,
    lag: StreamLag,
    servers,
    stored_status: StoredStatus,
    wait_until,
) -> None:
    told = await publish(bus, stored_status, 5)
    await wait_until(lambda: len(book.bodies) == 5)
    first_epoch = book.epoch
    async with servers.bus_as("admin") as admin:
        await admin.jetstream().delete_stream(STREAM)
    await wait_until(lambda: lag.messages is None)
    assert await lag.is_behind()
    with pytest.raises(Unavailable, match="NOTIFICATION is not being read"):
        await lag.check()
    await servers.ensure_bus()
    told += await publish(bus, stored_status, 3)
    await wait_until(lambda: len(book.bodies) == 8)
    assert book.bodies == told
    await lag.check()
    assert book.epoch != first_epoch
    assert book.sequence == 3


async def test_nats_may_be_killed_and_come_back(
    bus: Bus, reader: OrderedReader, book: Book, servers, stored_status: StoredStatus, wait_until
) -> None:
    told = await publish(bus, stored_status, 20)
    await wait_until(lambda: len(book.bodies) == 20)
    servers.nats.kill()
    await wait_until(lambda: not bus.is_connected and not servers.nats.is_running)
    await servers.nats.start()
    await wait_until(lambda: bus.is_connected)
    told += await publish(bus, stored_status, 20)
    await wait_until(lambda: len(book.bodies) == 40)
    assert book.bodies == told


async def test_a_silent_server_is_asked_again(
    bus: Bus,
    reader: OrderedReader,
    book: Book,
    lag: StreamLag,
    servers,
    stored_status: StoredStatus,
    wait_until,
) -> None:
    told = await publish(bus, stored_status, 2)
    await wait_until(lambda: len(book.bodies) == 2)
    with servers.nats.frozen():
        await wait_until(lambda: lag.messages is None, timeout_s=SILENCE_S + 10)
    await wait_until(lambda: lag.messages == 0 and bus.is_connected)
    told += await publish(bus, stored_status, 2)
    await wait_until(lambda: len(book.bodies) == 4)
    assert book.bodies == told


async def test_a_stop_waits_for_a_batch_but_not_for_ever(
    bus: Bus, reader_bus: Bus, book: Book, lag: StreamLag, stored_status: StoredStatus, wait_until
) -> None:
    book.may_commit.clear()
    async with asyncio.timeout(STOP_WITHIN_S + 10):
        async with reader_of(reader_bus, book, lag):
            told = await publish(bus, stored_status, 1)
            await wait_until(lambda: lag.messages == 1)
        book.may_commit.set()
        async with reader_of(reader_bus, book, lag):
            await wait_until(lambda: book.bodies)
    assert book.bodies == told
