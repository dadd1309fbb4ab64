"""A message of many items is acknowledged when every item is handled; a bad item does not affect the others."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.database.group_commit import GroupCommit
from cafeteria.chassis.messaging import Bus, Consumer, consumer
from cafeteria.chassis.messaging.dead_letters import DeadLetters
from cafeteria.chassis.messaging.lag import ConsumerLag
from cafeteria.chassis.messaging.outbox import OutboxRow
from cafeteria.contracts import subjects as names
from cafeteria.contracts.channels import ACK_WAIT_S, MAX_ITEMS
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.testkit.plugin import unread, until
from cafeteria.testkit.servers import FixtureServers

StoredStatus = Callable[..., OutboxRow]
Condition = Callable[[], Awaitable[bool]]
MEBIBYTE = 1 << 20


class Commits:
    """Commits events to memory. `poison` is the id of an order that fails; every commit waits for `gate`."""

    def __init__(self) -> None:
        self.order_ids: list[object] = []
        self.sizes: list[int] = []
        self.failures: list[Exception] = []
        self.poison: object = None
        self.tries = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self, events: list[OrderStatusChanged]) -> Sequence[None]:
        self.tries += 1
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop()
        order_ids = [event.order_id for event in events]
        if self.poison in order_ids:
            raise ZeroDivisionError("a row that no table accepts")
        self.order_ids += order_ids
        self.sizes.append(len(events))
        return [None] * len(events)


class Harness:
    """Runs a consumer of the kitchen's events, publishes messages for it, and counts their deliveries."""

    def __init__(
        self,
        bus: Bus,
        kitchen_bus: Bus,
        dead_letters: DeadLetters,
        servers: FixtureServers,
        is_acknowledged: Condition,
    ) -> None:
        self.bus, self._kitchen, self._dead_letters, self._servers = bus, kitchen_bus, dead_letters, servers
        self.commits, self.is_acknowledged = Commits(), is_acknowledged
        self.lag = ConsumerLag(bus, names.GATEWAY_PROJECTION)

    def consumer(self, group: Any) -> Consumer[OrderStatusChanged]:
        return Consumer(
            self.bus, names.GATEWAY_PROJECTION, names.KITCHEN_STATUS, group, self._dead_letters, lag=self.lag
        )

    def group(self, **limits: int) -> GroupCommit[OrderStatusChanged, None]:
        return GroupCommit("read", self.commits.commit, **limits)

    async def publish(self, *items: bytes) -> None:
        body = b'{"events":[%b]}' % b",".join(items)
        await self._kitchen.client.jetstream().publish(names.KITCHEN_STATUS.subject, body)

    async def unread(self) -> int:
        return await unread(self.bus.client, names.GATEWAY_PROJECTION)

    async def deliveries(self) -> int:
        """Return how many deliveries there were, each redelivery counted."""
        async with self._servers.bus_as("admin") as admin:
            durable = names.GATEWAY_PROJECTION
            info = await admin.jetstream().consumer_info(durable.stream, durable.name)
        return int(info.delivered.consumer_seq)

    async def dead_letters(self) -> list[tuple[int, bytes]]:
        async with self._servers.database_as_admin() as connection:
            rows = await connection.fetch("SELECT item, body FROM gateway.dead_letters ORDER BY item")
        return [(row["item"], row["body"]) for row in rows]


@pytest.fixture
def harness(
    bus: Bus,
    kitchen_bus: Bus,
    dead_letters: DeadLetters,
    servers: FixtureServers,
    projection_is_acknowledged: Condition,
) -> Harness:
    return Harness(bus, kitchen_bus, dead_letters, servers, projection_is_acknowledged)


@pytest.fixture
def item(stored_status: StoredStatus) -> Callable[[], bytes]:
    return lambda: stored_status(names.KITCHEN_STATUS).body


def order_id_of(body: bytes) -> object:
    return msgspec.json.decode(body, type=OrderStatusChanged).order_id


async def test_an_undecodable_item_becomes_a_dead_letter_and_the_others_are_committed(
    harness: Harness, item: Callable[[], bytes]
) -> None:
    good = [item() for _ in range(3)]
    before = await harness.deliveries()
    async with harness.group() as group, harness.consumer(group):
        await harness.publish(good[0], b'{"order_id":7}', good[1], b"null", good[2])
        await until(harness.is_acknowledged)
    assert harness.commits.order_ids == [order_id_of(body) for body in good]
    assert await harness.dead_letters() == [(1, b'{"order_id":7}'), (3, b"null")]
    assert await harness.deliveries() == before + 1


@pytest.mark.parametrize(
    "body", [b"{not json", b'{"events": 7}', b'{"events": [%b0]}' % (b"0," * MAX_ITEMS)], ids=[1, 2, "long"]
)
async def test_an_undecodable_message_becomes_one_dead_letter_and_is_not_redelivered(
    harness: Harness, body: bytes, item: Callable[[], bytes]
) -> None:
    good, before = item(), await harness.deliveries()
    async with harness.group() as group, harness.consumer(group):
        await harness.bus.client.flush_all()
        await harness._kitchen.client.jetstream().publish(names.KITCHEN_STATUS.subject, body)
        await harness.publish(good)
        await until(harness.is_acknowledged)
    assert harness.commits.order_ids == [order_id_of(good)]
    assert await harness.dead_letters() == [(-1, body)]
    assert await harness.deliveries() == before + 2


async def test_an_item_that_always_fails_becomes_a_dead_letter_after_the_allowed_tries(
    harness: Harness, item: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert consumer.MOST_FAILURES == 10
    monkeypatch.setattr(consumer, "MOST_FAILURES", 3)
    items = [item() for _ in range(4)]
    harness.commits.poison = order_id_of(items[2])
    before = await harness.deliveries()
    async with harness.group() as group, harness.consumer(group) as running:
        await harness.publish(*items)
        await until(harness.is_acknowledged)
        assert running._failures == {}
    neighbours = {order_id_of(body) for at, body in enumerate(items) if at != 2}
    assert set(harness.commits.order_ids) == neighbours
    assert await harness.dead_letters() == [(2, items[2])]
    assert await harness.deliveries() == before + 3


async def test_an_unavailable_database_causes_no_dead_letters(
    harness: Harness, item: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "AGAIN", b"-NAK")
    monkeypatch.setitem(consumer.OUTCOMES, consumer.AGAIN, "retried")
    # twelve tries: each commits the batch, then retries it
    harness.commits.failures = [DatabaseUnavailable() for _ in range(24)]
    items = [item(), item()]
    async with harness.group() as group, harness.consumer(group):
        await harness.publish(*items)
        await until(harness.is_acknowledged)
    assert harness.commits.order_ids == [order_id_of(body) for body in items]
    assert await harness.dead_letters() == []


async def test_a_message_is_acknowledged_after_the_last_of_its_commits(
    harness: Harness, item: Callable[[], bytes]
) -> None:
    items = [item() for _ in range(5)]
    harness.commits.gate.clear()
    async with harness.group(batch_limit=3) as group, harness.consumer(group):
        await harness.publish(*items)
        await until(lambda: harness.commits.tries == 1)
        harness.commits.gate.set()
        harness.commits.gate = asyncio.Event()  # the second commit waits
        await until(lambda: harness.commits.sizes == [3] and harness.commits.tries == 2)
        assert not await harness.is_acknowledged()
        harness.commits.gate.set()
        await until(harness.is_acknowledged)
    assert harness.commits.sizes == [3, 2]


async def test_a_message_with_one_failed_commit_is_redelivered_whole(
    harness: Harness, item: Callable[[], bytes]
) -> None:
    items = [item() for _ in range(4)]
    harness.commits.failures = [DatabaseUnavailable(), DatabaseUnavailable()]
    async with harness.group(batch_limit=3) as group, harness.consumer(group):
        await harness.publish(*items)
        await until(lambda: len(harness.commits.order_ids) >= 5)
        await until(harness.is_acknowledged)
    order_ids = [order_id_of(body) for body in items]
    assert harness.commits.order_ids == [order_ids[3], *order_ids]


async def test_a_lost_acknowledgement_costs_one_redelivery(
    harness: Harness, item: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = harness.bus.client.publish
    lost: list[str] = []

    async def lose_first(subject: str, payload: bytes = b"", *rest: Any, **options: Any) -> None:
        if payload == b"+ACK" and not lost:
            lost.append(subject)
        else:
            await publish(subject, payload, *rest, **options)

    monkeypatch.setattr(harness.bus.client, "publish", lose_first)
    body = item()
    async with harness.group() as group, harness.consumer(group):
        await harness.publish(body)
        await until(harness.is_acknowledged, timeout_s=ACK_WAIT_S + 10)
    assert len(lost) == 1
    assert harness.commits.order_ids == [order_id_of(body)] * 2


async def test_a_message_is_not_redelivered_during_a_slow_commit(
    harness: Harness, item: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, body = await harness.deliveries(), item()
    publish = harness.bus.client.publish
    progress_reports: list[str] = []

    async def record_and_publish(subject: str, payload: bytes = b"", *rest: Any, **options: Any) -> None:
        if payload == b"+WPI":
            progress_reports.append(subject)
        await publish(subject, payload, *rest, **options)

    monkeypatch.setattr(harness.bus.client, "publish", record_and_publish)
    harness.commits.gate.clear()
    async with harness.group() as group, harness.consumer(group):
        await harness.publish(body)
        await until(lambda: harness.commits.tries == 1)
        await until(lambda: (len(progress_reports) - 1) * consumer.PROGRESS_EVERY_S > ACK_WAIT_S)
        assert await harness.deliveries() == before + 1
        assert await harness.unread() == 1
        harness.commits.gate.set()
        await until(harness.is_acknowledged)
    assert harness.commits.order_ids == [order_id_of(body)]


async def test_a_consumer_is_behind_while_many_messages_are_unread(
    harness: Harness, item: Callable[[], bytes]
) -> None:
    async with harness.group() as group, harness.consumer(group):
        assert not await harness.lag.is_behind()
        await harness.publish(item())
        await until(harness.is_acknowledged)
        harness.commits.gate.clear()
        await harness.publish(item())
        assert not await harness.lag.is_behind(), "one unread message that was stored a moment ago is no lag"
        for _ in range(15):
            await harness.publish(item())
        await until(lambda: _has_unread(harness, 16))
        assert await harness.lag.is_behind()
        harness.commits.gate.set()
        await until(harness.is_acknowledged)
        assert not await harness.lag.is_behind()


async def test_a_long_queue_is_read_without_redelivery_and_in_little_memory(
    harness: Harness, item: Callable[[], bytes]
) -> None:
    count, messages = 60_000, 60_000 // MAX_ITEMS + 1
    whole = [item() for _ in range(MAX_ITEMS)]
    for _ in range(messages):
        await harness.publish(*whole)
    before = await harness.deliveries()
    with memory() as grown:
        async with harness.group(batch_limit=1024, queue_limit=8192) as group, harness.consumer(group):

            async def has_read_all() -> bool:
                grown()
                return await harness.is_acknowledged()

            await until(has_read_all, timeout_s=60)
    assert len(harness.commits.order_ids) == messages * MAX_ITEMS >= count
    assert await harness.deliveries() == before + messages
    assert grown() <= 64 * MEBIBYTE


async def _has_unread(harness: Harness, count: int) -> bool:
    return await harness.unread() == count


@contextmanager
def memory() -> Iterator[Callable[[], int]]:
    """Yield a function that returns the largest growth of this process, in bytes, at any call so far."""
    first, most = resident_bytes(), 0

    def grown() -> int:
        nonlocal most
        most = max(most, resident_bytes() - first)
        return most

    yield grown


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
