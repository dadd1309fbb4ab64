"""A message of many items: acknowledged when all are settled, and what is wrong with one harms no other."""

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
from cafeteria.testkit.plugin import unread

StoredStatus = Callable[..., OutboxRow]
Settled = Callable[[], Awaitable[bool]]
Kept = list[tuple[int, bytes]]
MEBIBYTE = 1 << 20


class Commits:
    """Remembers what was committed; `poison` is an order that fails, `gate` is waited for before each commit."""

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
            raise ZeroDivisionError("a row that no table takes")
        self.order_ids += order_ids
        self.sizes.append(len(events))
        return [None] * len(events)


class Bench:
    """A consumer of the kitchen's events, and hands to put messages before it."""

    def __init__(
        self, bus: Bus, kitchen_bus: Bus, dead_letters: DeadLetters, servers: Any, settled: Settled
    ) -> None:
        self.bus, self._kitchen, self._dead_letters, self._servers = bus, kitchen_bus, dead_letters, servers
        self.commits, self.settled = Commits(), settled
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
        """Of all messages, each time counted."""
        async with self._servers.bus_as("admin") as admin:
            durable = names.GATEWAY_PROJECTION
            info = await admin.jetstream().consumer_info(durable.stream, durable.name)
        return int(info.delivered.consumer_seq)

    async def dead(self) -> Kept:
        async with self._servers.database_as_admin() as connection:
            rows = await connection.fetch("SELECT item, body FROM gateway.dead_letters ORDER BY item")
        return [(row["item"], row["body"]) for row in rows]


@pytest.fixture
def bench(
    bus: Bus, kitchen_bus: Bus, dead_letters: DeadLetters, servers: Any, projection_settled: Settled
) -> Bench:
    return Bench(bus, kitchen_bus, dead_letters, servers, projection_settled)


@pytest.fixture
def item(stored_status: StoredStatus) -> Callable[[], bytes]:
    return lambda: stored_status(names.KITCHEN_STATUS).body


def order_id_of(body: bytes) -> object:
    return msgspec.json.decode(body, type=OrderStatusChanged).order_id


async def test_an_undecodable_item_becomes_a_dead_letter_and_the_others_are_committed(
    bench: Bench, item: Callable[[], bytes], wait_until: Any
) -> None:
    good = [item() for _ in range(3)]
    before = await bench.deliveries()
    async with bench.group() as group, bench.consumer(group):
        await bench.publish(good[0], b'{"order_id":7}', good[1], b"null", good[2])
        await wait_until(bench.settled)
    assert bench.commits.order_ids == [order_id_of(body) for body in good]
    assert await bench.dead() == [(1, b'{"order_id":7}'), (3, b"null")]
    assert await bench.deliveries() == before + 1


@pytest.mark.parametrize(
    "body", [b"{not json", b'{"events": 7}', b'{"events": [%b0]}' % (b"0," * MAX_ITEMS)], ids=[1, 2, "long"]
)
async def test_an_undecodable_message_becomes_one_dead_letter_and_is_not_redelivered(
    bench: Bench, body: bytes, item: Callable[[], bytes], wait_until: Any
) -> None:
    good, before = item(), await bench.deliveries()
    async with bench.group() as group, bench.consumer(group):
        await bench.bus.client.flush_all()
        await bench._kitchen.client.jetstream().publish(names.KITCHEN_STATUS.subject, body)
        await bench.publish(good)
        await wait_until(bench.settled)
    assert bench.commits.order_ids == [order_id_of(good)]
    assert await bench.dead() == [(-1, body)]
    assert await bench.deliveries() == before + 2


async def test_an_item_that_always_fails_becomes_a_dead_letter_after_the_allowed_tries(
    bench: Bench, item: Callable[[], bytes], wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert consumer.MOST_FAILURES == 10
    monkeypatch.setattr(consumer, "MOST_FAILURES", 3)
    items = [item() for _ in range(4)]
    bench.commits.poison = order_id_of(items[2])
    before = await bench.deliveries()
    async with bench.group() as group, bench.consumer(group) as running:
        await bench.publish(*items)
        await wait_until(bench.settled)
        assert running._failures == {}
    neighbours = {order_id_of(body) for at, body in enumerate(items) if at != 2}
    assert set(bench.commits.order_ids) == neighbours
    assert await bench.dead() == [(2, items[2])]
    assert await bench.deliveries() == before + 3


async def test_an_unavailable_database_causes_no_dead_letters(
    bench: Bench, item: Callable[[], bytes], wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "AGAIN", b"-NAK")
    monkeypatch.setitem(consumer.OUTCOMES, consumer.AGAIN, "retried")
    bench.commits.failures = [DatabaseUnavailable() for _ in range(24)]  # twelve tries, each of two
    items = [item(), item()]
    async with bench.group() as group, bench.consumer(group):
        await bench.publish(*items)
        await wait_until(bench.settled)
    assert bench.commits.order_ids == [order_id_of(body) for body in items]
    assert await bench.dead() == []


async def test_a_message_is_acknowledged_after_the_last_of_its_commits(
    bench: Bench, item: Callable[[], bytes], wait_until: Any
) -> None:
    items = [item() for _ in range(5)]
    bench.commits.gate.clear()
    async with bench.group(batch_limit=3) as group, bench.consumer(group):
        await bench.publish(*items)
        await wait_until(lambda: bench.commits.tries == 1)
        bench.commits.gate.set()
        bench.commits.gate = asyncio.Event()  # the second commit waits
        await wait_until(lambda: bench.commits.sizes == [3] and bench.commits.tries == 2)
        assert not await bench.settled()
        bench.commits.gate.set()
        await wait_until(bench.settled)
    assert bench.commits.sizes == [3, 2]


async def test_a_message_with_one_failed_commit_is_redelivered_whole(
    bench: Bench, item: Callable[[], bytes], wait_until: Any
) -> None:
    items = [item() for _ in range(4)]
    bench.commits.failures = [DatabaseUnavailable(), DatabaseUnavailable()]
    async with bench.group(batch_limit=3) as group, bench.consumer(group):
        await bench.publish(*items)
        await wait_until(lambda: len(bench.commits.order_ids) >= 5)
        await wait_until(bench.settled)
    order_ids = [order_id_of(body) for body in items]
    assert bench.commits.order_ids == [order_ids[3], *order_ids]


async def test_a_lost_acknowledgement_costs_one_redelivery(
    bench: Bench, item: Callable[[], bytes], wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, lost = bench.bus.client.publish, []

    async def lose_first(subject: str, payload: bytes = b"", *rest: Any, **options: Any) -> None:
        if payload == b"+ACK" and not lost:
            lost.append(subject)
        else:
            await publish(subject, payload, *rest, **options)

    monkeypatch.setattr(bench.bus.client, "publish", lose_first)
    body = item()
    async with bench.group() as group, bench.consumer(group):
        await bench.publish(body)
        await wait_until(bench.settled, timeout_s=ACK_WAIT_S + 10)
    assert len(lost) == 1
    assert bench.commits.order_ids == [order_id_of(body)] * 2


async def test_a_message_is_not_redelivered_during_a_slow_commit(
    bench: Bench, item: Callable[[], bytes], wait_until: Any
) -> None:
    before, body = await bench.deliveries(), item()
    bench.commits.gate.clear()
    async with bench.group() as group, bench.consumer(group):
        await bench.publish(body)
        await wait_until(lambda: bench.commits.tries == 1)
        await asyncio.sleep(ACK_WAIT_S + 1.5)
        assert await bench.deliveries() == before + 1
        assert await bench.unread() == 1
        bench.commits.gate.set()
        await wait_until(bench.settled)
    assert bench.commits.order_ids == [order_id_of(body)]


async def test_a_consumer_is_behind_while_many_messages_are_unread(
    bench: Bench, item: Callable[[], bytes], wait_until: Any
) -> None:
    async with bench.group() as group, bench.consumer(group):
        assert not await bench.lag.is_behind()
        await bench.publish(item())
        await wait_until(bench.settled)
        bench.commits.gate.clear()
        await bench.publish(item())
        assert not await bench.lag.is_behind(), "one is on its way, and the last was stored just now"
        for _ in range(15):
            await bench.publish(item())
        await wait_until(lambda: _has_unread(bench, 16))
        assert await bench.lag.is_behind()
        bench.commits.gate.set()
        await wait_until(bench.settled)
        assert not await bench.lag.is_behind()


async def test_a_long_queue_is_read_without_redelivery_and_in_little_memory(
    bench: Bench, item: Callable[[], bytes], wait_until: Any
) -> None:
    count, messages = 60_000, 60_000 // MAX_ITEMS + 1
    whole = [item() for _ in range(MAX_ITEMS)]
    for _ in range(messages):
        await bench.publish(*whole)
    before = await bench.deliveries()
    with memory() as grown:
        async with bench.group(batch_limit=1024, queue_limit=8192) as group, bench.consumer(group):

            async def all_read() -> bool:
                grown()
                return await bench.settled()

            await wait_until(all_read, timeout_s=60)
    assert len(bench.commits.order_ids) == messages * MAX_ITEMS >= count
    assert await bench.deliveries() == before + messages
    assert grown() <= 64 * MEBIBYTE


async def _has_unread(bench: Bench, count: int) -> bool:
    return await bench.unread() == count


@contextmanager
def memory() -> Iterator[Callable[[], int]]:
    """The most that this process has grown, as far as it was looked at."""
    first, most = resident(), 0

    def grown() -> int:
        nonlocal most
        most = max(most, resident() - first)
        return most

    yield grown


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
