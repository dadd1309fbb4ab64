"""Notification's repositories do to Postgres what the model's tables do: one log, its counter, and dead letters."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from cafeteria.chassis.messaging.dead_letters import DeadLetter, DeadLetters
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.subjects import GATEWAY_STATUS, KITCHEN_STATUS, NOTIFICATION
from cafeteria.contracts.values import STATUS_VERSIONS, OrderStatus, OrderVersion, StatusTime
from cafeteria.notification.domain import Mark, Status, sequence_to_follow, statuses_of
from cafeteria.notification.repository import check_delivery, log, record_statuses
from cafeteria.notification.tables import dead_letters
from cafeteria.protocol_model.bus import Message, Unreadable
from cafeteria.protocol_model.notification import NotificationTables

if TYPE_CHECKING:
    from conftest import Environment

PENDING, VERIFIED = OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED
COOKING, READY = OrderStatus.IN_KITCHEN, OrderStatus.READY

_LETTERS = "SELECT subject, body_digest FROM notification.dead_letters ORDER BY 1, 2"


class Side:
    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.id_of, self.name_of, self.now = environment.id_of, environment.name_of, environment.now

    def statuses(self, events: tuple[tuple[str, OrderStatus, tuple[OrderStatus, ...]], ...]) -> list[Status]:
        """Return each status of the events once, as a batch of the log has it."""
        found: dict[tuple[str, int], Status] = {}
        for name, status, earlier in events:
            event = OrderStatusChanged(
                order_id=self.id_of(name),
                student_id="210041101",
                status=status,
                version=STATUS_VERSIONS[status],
                at=self.now(),
                earlier=tuple(
                    StatusTime(status=each, version=STATUS_VERSIONS[each], at=self.now()) for each in earlier
                ),
            )
            for each in statuses_of(event):
                found.setdefault((name, each.version), each)
        return list(found.values())

    def asked(self, versions: dict[str, int]) -> list[OrderVersion]:
        return [OrderVersion(order_id=self.id_of(name), version=each) for name, each in versions.items()]


class Model(Side):
    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.tables = NotificationTables(environment.scheduler)

    async def mark(self) -> Mark:
        return self.tables.mark()

    async def begin(self, before: Mark, epoch: str, last_sequence: int) -> tuple[int, int]:
        return self.tables.begin(before, epoch, last_sequence)

    async def record(self, *events: Any, epoch: str = "one", sequence: int) -> int:
        return self.tables.record(self.statuses(events), epoch, sequence)

    async def find_missing(self, **versions: int) -> list[OrderVersion]:
        return list(self.tables.find_missing(self.asked(versions)))

    async def keep_unreadable(self, topic: Any, *numbers: int, sequence: int) -> None:
        self.tables.dead_letters.add([Message(topic, (sequence,), tuple(map(Unreadable, numbers)))])

    async def rows(self) -> dict[str, Any]:
        kept = self.tables.dead_letters.kept
        return {
            "log": list(enumerate(self.tables.log, start=1)),
            "mark": self.tables.mark(),
            "dead letters": sorted((subject, sha256(_body(item.number)).digest()) for subject, item in kept),
        }


class Repositories(Side):
    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.database = environment.connect(NOTIFICATION)

    async def mark(self) -> Mark:
        async with self.database.statement() as connection:
            return await log.read_counter(connection)

    async def begin(self, before: Mark, epoch: str, last_sequence: int) -> tuple[int, int]:
        async with self.database.transaction() as connection:
            mark = await record_statuses.lock_counter(connection)
            after = sequence_to_follow(mark, before=before, epoch=epoch, last_sequence=last_sequence)
            await record_statuses.follow_stream(connection, epoch=epoch, sequence=after)
        return after, mark.position

    async def record(self, *events: Any, epoch: str = "one", sequence: int) -> int:
        statuses = self.statuses(events)
        async with self.database.transaction() as connection:
            position = (await record_statuses.lock_counter(connection)).position
            added = await record_statuses.record(
                connection, statuses, position=position, epoch=epoch, sequence=sequence, now=self.now()
            )
        return position + len(added)

    async def find_missing(self, **versions: int) -> list[OrderVersion]:
        async with self.database.statement() as connection:
            return await check_delivery.read_missing(connection, self.asked(versions))

    async def keep_unreadable(self, topic: Any, *numbers: int, sequence: int) -> None:
        letters = [
            DeadLetter(
                stream="stream",
                sequence=sequence,
                stored_at=self.now(),
                item=place,
                subject=topic.subject,
                message_id=str(sequence),
                body=_body(number),
                error="unreadable",
            )
            for place, number in enumerate(numbers)
        ]
        await DeadLetters(self.database, dead_letters).add(letters)

    async def rows(self) -> dict[str, Any]:
        async with self.database.statement() as connection:
            logged = await record_statuses.read_log(connection, after=0, limit=1000)
        return {
            "log": [(each.position, _status(each)) for each in logged],
            "mark": await self.mark(),
            "dead letters": [tuple(row) for row in await self.environment.admin.fetch(_LETTERS)],
        }


def _body(number: int) -> bytes:
    return b"%d" % number


def _status(logged: Any) -> Status:
    return Status(**{name: getattr(logged, name) for name in Status.__struct_fields__})


@pytest.fixture
def notification(environment: Environment) -> Any:
    return environment.both(Model(environment), Repositories(environment))


def event(name: str, status: OrderStatus, *earlier: OrderStatus) -> tuple[str, OrderStatus, Any]:
    return name, status, earlier


async def test_a_repeated_event_is_logged_once(notification: Any, environment: Environment) -> None:
    assert await notification.record(event("tea", PENDING), event("tea", PENDING), sequence=1) == 1
    await environment.advance(1)
    assert await notification.record(event("tea", PENDING), event("soup", PENDING), sequence=2) == 2
    assert await notification.record(sequence=3) == 2


async def test_an_event_fills_the_gap_before_it(notification: Any) -> None:
    await notification.record(event("tea", PENDING), event("soup", VERIFIED), sequence=1)
    assert await notification.record(event("tea", READY, PENDING, VERIFIED, COOKING), sequence=2) == 5
    missing = await notification.find_missing(tea=3, soup=1, coffee=1)
    assert [each.version for each in missing] == [1, 1]


async def test_an_event_that_was_overtaken_is_logged_later(notification: Any) -> None:
    await notification.record(event("tea", READY), sequence=1)
    assert await notification.record(event("tea", COOKING, VERIFIED), event("tea", READY), sequence=2) == 3


async def test_another_stream_is_read_from_its_beginning(notification: Any) -> None:
    assert await notification.begin(await notification.mark(), "one", 0) == (0, 0)
    await notification.record(event("tea", PENDING), sequence=7)
    assert await notification.begin(await notification.mark(), "one", 7) == (7, 1)
    assert await notification.begin(await notification.mark(), "two", 3) == (0, 1)
    await notification.record(event("soup", PENDING), epoch="one", sequence=8)
    await notification.record(event("tea", VERIFIED), epoch="two", sequence=2)
    assert (await notification.mark()).stream_sequence == 2


async def test_a_stream_that_has_lost_its_end_is_read_from_its_beginning(notification: Any) -> None:
    await notification.begin(await notification.mark(), "one", 0)
    before = await notification.mark()
    await notification.record(event("tea", PENDING), sequence=7)
    assert await notification.begin(before, "one", 5) == (7, 1), "another replica has read further since"
    assert await notification.begin(await notification.mark(), "one", 5) == (0, 1)


async def test_a_late_batch_does_not_move_the_sequence_back(notification: Any) -> None:
    await notification.begin(await notification.mark(), "one", 9)
    await notification.record(event("tea", PENDING), sequence=9)
    await notification.record(event("tea", VERIFIED), sequence=4)
    assert (await notification.mark()).stream_sequence == 9


async def test_an_unreadable_item_is_one_dead_letter(notification: Any, environment: Environment) -> None:
    await notification.keep_unreadable(GATEWAY_STATUS, 1, 2, sequence=1)
    await notification.keep_unreadable(GATEWAY_STATUS, 1, 2, sequence=1)
    await environment.advance(1)
    await notification.keep_unreadable(GATEWAY_STATUS, 2, 3, sequence=2)
    await notification.keep_unreadable(KITCHEN_STATUS, 1, sequence=3)
