"""Notification on real servers: tests publish events of gateway and kitchen, and read streams as students do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.messaging.outbox import outbox_message
from cafeteria.chassis.process import serving
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.subjects import GATEWAY, GATEWAY_STATUS, KITCHEN, KITCHEN_STATUS, NOTIFICATION
from cafeteria.contracts.values import STATUS_VERSIONS, OrderStatus, StatusTime
from cafeteria.notification.app import create_app
from cafeteria.notification.settings import NotificationSettings
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.testkit.plugin import outbox_row, until
from cafeteria.testkit.servers import FixtureServers
from cafeteria.testkit.tokens import Tokens

STUDENT = "210041101"
PATH = (OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED, OrderStatus.IN_KITCHEN, OrderStatus.READY)
KITCHEN_STATUSES = {OrderStatus.IN_KITCHEN, OrderStatus.READY, OrderStatus.COLLECTED, OrderStatus.CANCELLED}
DEADLINE_S = 15.0
UNREAD = httpx.Timeout(DEADLINE_S, read=None)  # a stream may be silent for long

_FILL = """
WITH counter AS (UPDATE notification.position_counter SET position = position + $1 RETURNING position - $1 AS before),
logged AS (
    INSERT INTO notification.notifications
        (id, order_id, student_id, status_sent, sent_at, version, position, status_at)
    SELECT gen_random_uuid(), gen_random_uuid(), $2, 'PENDING', $3, 1, before + number, $3
    FROM counter CROSS JOIN generate_series(1, $1) AS number
    RETURNING order_id, student_id
)
INSERT INTO notification.open_orders (order_id, student_id) SELECT * FROM logged
"""


class Shown(msgspec.Struct, kw_only=True):
    """One event, as a client received it."""

    id: str
    data: dict[str, Any]

    @property
    def order_id(self) -> UUID:
        return UUID(self.data["order_id"])

    @property
    def position(self) -> int:
        return int(self.id.partition("-")[0])

    @property
    def status(self) -> str:
        return str(self.data["status"])


class Watcher:
    """An open stream: the events that it has shown, and whether the service has ended it."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.events: list[Shown] = []
        self.comments = 0
        self.retry: str | None = None
        self.last_id: str | None = None
        self.ended = asyncio.Event()

    async def read(self) -> None:
        fields: dict[str, str] = {}
        async for line in self.response.aiter_lines():
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            else:
                self._add(fields)
                fields = {}
        self.ended.set()

    def statuses(self, order_id: UUID | None = None) -> list[str]:
        return [event.status for event in self.events if order_id in (None, event.order_id)]

    def _add(self, fields: dict[str, str]) -> None:
        self.retry = fields.get("retry", self.retry)
        self.last_id = fields.get("id", self.last_id)
        if "data" in fields:
            assert fields["event"] == "order.status"
            self.events.append(Shown(id=fields["id"], data=msgspec.json.decode(fields["data"])))


class Order:
    """An order and its statuses; each event carries the earlier ones, as the services' own events do."""

    def __init__(self, student_id: str = STUDENT, *, began: datetime | None = None) -> None:
        self.id = new_id()
        self.student_id = student_id
        self.began = began or datetime.now(UTC) - timedelta(seconds=10)
        self.times: list[StatusTime] = []

    def enters(self, status: OrderStatus, *, with_earlier: bool = True) -> OrderStatusChanged:
        at = self.began + timedelta(seconds=len(self.times))
        moment = StatusTime(status=status, version=STATUS_VERSIONS[status], at=at)
        event = OrderStatusChanged(
            order_id=self.id,
            student_id=self.student_id,
            status=status,
            version=moment.version,
            at=at,
            earlier=tuple(self.times) if with_earlier else (),
        )
        self.times.append(moment)
        return event


class Notification:
    """The replicas of notification under test, and their clients: gateway, kitchen, students and an administrator."""

    def __init__(
        self,
        *,
        apps: list[ServiceApp],
        urls: list[str],
        servers: FixtureServers,
        tokens: Tokens,
        database: asyncpg.Connection,
        gateway: Bus,
        kitchen: Bus,
    ) -> None:
        self.apps = apps
        self.urls = urls
        self.servers = servers
        self.tokens = tokens
        self.database = database
        self.gateway = gateway
        self.kitchen = kitchen

    async def publish(self, *events: OrderStatusChanged) -> None:
        """Store events in the stream, in this order, each published by its owner."""
        for event in events:
            await self.publish_together([event])

    async def publish_together(self, events: Sequence[OrderStatusChanged]) -> None:
        """Publish all events in as few messages as possible, by the owner of the first one."""
        is_from_kitchen = events[0].status in KITCHEN_STATUSES
        bus, topic = (self.kitchen, KITCHEN_STATUS) if is_from_kitchen else (self.gateway, GATEWAY_STATUS)
        await bus.publish_stored(
            [
                outbox_row(outbox_message(topic, event, key=event.order_id, version=event.version))
                for event in events
            ]
        )

    @asynccontextmanager
    async def watch(
        self,
        path: str = "/v1/events",
        *,
        student_id: str = STUDENT,
        token: str | None = None,
        last_event_id: str | None = None,
        replica: int = 0,
    ) -> AsyncIterator[Watcher]:
        headers = {"Authorization": f"Bearer {token or self.tokens.student(student_id)}"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        async with (
            plain_http(base_url=self.urls[replica], timeout_s=DEADLINE_S) as web,
            web.stream("GET", path, headers=headers, timeout=UNREAD) as response,
        ):
            assert response.status_code == 200, await response.aread()
            watcher = Watcher(response)
            reading = asyncio.create_task(watcher.read())
            try:
                yield watcher
            finally:
                reading.cancel()
                await asyncio.wait([reading])

    async def logged(self, order_id: UUID) -> list[str]:
        rows = await self.database.fetch(
            "SELECT status_sent FROM notification.notifications WHERE order_id = $1 ORDER BY position",
            order_id,
        )
        return [row["status_sent"] for row in rows]

    async def has_handled_all(self) -> bool:
        """Return whether the first replica has pushed everything that the stream has delivered to it.

        A row is in the log a moment before that: wait for the row, then for this.
        """
        async with plain_http(base_url=self.urls[0], timeout_s=DEADLINE_S) as web:
            return 'cafeteria_reader_lag{stream="NOTIFICATION"} 0.0' in (await web.get("/metrics")).text

    async def open_streams(self) -> int:
        """Count the live streams of the first replica."""
        async with plain_http(base_url=self.urls[0], timeout_s=DEADLINE_S) as web:
            metrics = (await web.get("/metrics")).text
        [line] = (line for line in metrics.splitlines() if line.startswith("cafeteria_event_streams "))
        return int(float(line.split()[1]))

    async def fill(self, statuses: int, *, student_id: str, before: timedelta = timedelta()) -> None:
        """Log PENDING orders of a student without an event, at a time `before` now."""
        await self.database.execute(_FILL, statuses, student_id, datetime.now(UTC) - before)


OpenNotification = Callable[..., Awaitable[Notification]]
MakeOrder = Callable[..., Order]


@pytest.fixture
async def open_notification(
    clean: None, servers: FixtureServers, service_settings: Callable[..., Any], tokens: Tokens
) -> AsyncIterator[OpenNotification]:
    """Start replicas of notification; they stop with the test."""
    async with AsyncExitStack() as stack:

        async def bus_of(service: str) -> Bus:
            bus = await stack.enter_async_context(
                Bus(service_settings(service, ServiceSettings), service=service)
            )
            await bus.connected()
            return bus

        async def open_with(*, replicas: int = 1, **settings: Any) -> Notification:
            apps = [
                create_app(service_settings(NOTIFICATION, NotificationSettings, **settings))
                for _ in range(replicas)
            ]
            urls = [await stack.enter_async_context(serving(app)) for app in apps]
            database = await asyncpg.connect(servers.postgres_admin_url)
            stack.push_async_callback(database.close)
            gateway, kitchen = await bus_of(GATEWAY), await bus_of(KITCHEN)
            await until(lambda: all_ready(urls))
            return Notification(
                apps=apps,
                urls=urls,
                servers=servers,
                tokens=tokens,
                database=database,
                gateway=gateway,
                kitchen=kitchen,
            )

        yield open_with


@pytest.fixture
async def notification(open_notification: OpenNotification) -> Notification:
    return await open_notification()


@pytest.fixture
async def two_replicas(open_notification: OpenNotification) -> Notification:
    return await open_notification(replicas=2)


async def all_ready(urls: Sequence[str]) -> bool:
    async with plain_http(timeout_s=DEADLINE_S) as web:
        answers = [await web.get(f"{url}/health/ready") for url in urls]
    return all(answer.status_code == 200 for answer in answers)


@pytest.fixture
def make_order() -> MakeOrder:
    return Order
