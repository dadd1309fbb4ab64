"""Fixtures with a real kitchen on real servers. Tests publish cook commands as the gateway, and read events off the stream."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import nats.js.errors
import pytest
from nats.aio.client import Client

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.messaging.outbox import outbox_message
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts import subjects
from cafeteria.contracts.kitchen import CancelAnswered, CancelTicket, CookOrder
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus, OrderStatusChanged, OrderStatusesChanged
from cafeteria.contracts.values import OrderStatus, OrderVersion, PricedLine, StatusTime
from cafeteria.kitchen.app import create_app
from cafeteria.kitchen.settings import KitchenSettings
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.testkit.plugin import has_read_all, outbox_row, until
from cafeteria.testkit.servers import FixtureServers
from cafeteria.testkit.tokens import Tokens

DEADLINE_S = 20.0
STUDENT = "210041101"


def an_order() -> CookOrder:
    """Return a cook command whose stock was verified a moment ago; its path is the gateway's."""
    at = now()
    return CookOrder(
        order_id=new_id(),
        student_id=STUDENT,
        lines=(
            PricedLine(item_id=new_id(), name="Haleem", quantity=2, unit_price=Decimal("120.50")),
            PricedLine(item_id=new_id(), name="Jilapi", quantity=1, unit_price=Decimal("15.00")),
        ),
        version=2,
        earlier=(
            StatusTime(status=OrderStatus.PENDING, version=1, at=at - timedelta(milliseconds=20)),
            StatusTime(status=OrderStatus.STOCK_VERIFIED, version=2, at=at),
        ),
    )


class Gateway:
    """Sends the gateway's messages and requests, over a connection with the gateway's rights."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def an_order(self) -> CookOrder:
        return an_order()

    async def place(self, *orders: CookOrder) -> None:
        """Publish the cook commands; return when the stream has stored them."""
        await self.bus.publish_stored(
            [
                outbox_row(
                    outbox_message(subjects.WORK_PLACED, order, key=order.order_id, version=order.version)
                )
                for order in orders
            ]
        )

    async def place_some(self, count: int) -> list[CookOrder]:
        orders = [an_order() for _ in range(count)]
        await self.place(*orders)
        return orders

    async def place_undecodable(self) -> None:
        """Publish a message that the kitchen cannot decode."""
        await self.bus.client.jetstream().publish(
            subjects.WORK_PLACED.subject, b'{"orders": [{"order_id": "none"}]}'
        )

    async def unacknowledged_work(self, servers: FixtureServers) -> int:
        """Return how many messages the kitchen has not acknowledged; the server counts the newest ones a moment later."""
        async with servers.bus_as(subjects.KITCHEN) as client:
            info = await client.jetstream().consumer_info(
                subjects.KITCHEN_WORK.stream, subjects.KITCHEN_WORK.name
            )
            return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def work_is_acknowledged(self, servers: FixtureServers) -> bool:
        """Return whether the kitchen has acknowledged every cook command."""
        async with servers.bus_as("admin") as client:
            return await has_read_all(client, subjects.KITCHEN_WORK)

    async def cancel(self, order: CookOrder) -> CancelAnswered:
        facts = msgspec.structs.asdict(order)
        request = CancelTicket(**{name: facts[name] for name in CancelTicket.__struct_fields__})
        return await self.bus.request(subjects.CANCEL, request, deadline_s=DEADLINE_S)

    async def check_delivery(self, *order_ids: UUID) -> DeliveryStatus:
        items = tuple(OrderVersion(order_id=order_id, version=2) for order_id in order_ids)
        return await self.bus.request(
            subjects.KITCHEN_DELIVERY, CheckDelivery(items=items), deadline_s=DEADLINE_S
        )


class KitchenDatabase:
    """The rows that the kitchen has stored, read by an administrator."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def value(self, query: str, *parameters: Any) -> Any:
        return await self.connection.fetchval(query, *parameters)

    async def count(self, status: str) -> int:
        return int(await self.value("SELECT count(*) FROM kitchen.kitchen_orders WHERE status = $1", status))

    async def status_of(self, order: CookOrder) -> str | None:
        query = "SELECT status FROM kitchen.kitchen_orders WHERE order_id = $1"
        return await self.value(query, order.order_id)

    async def ticket_of(self, order: CookOrder) -> asyncpg.Record:
        query = "SELECT * FROM kitchen.kitchen_orders WHERE order_id = $1"
        ticket = await self.connection.fetchrow(query, order.order_id)
        assert ticket is not None, f"the kitchen has no ticket of {order.order_id}"
        return ticket

    async def history_of(self, order: CookOrder) -> list[str]:
        rows = await self.connection.fetch(
            """SELECT h.status FROM kitchen.order_status_history AS h
               JOIN kitchen.kitchen_orders AS k ON k.id = h.kitchen_order_id
               WHERE k.order_id = $1 ORDER BY h.changed_at, h.id""",
            order.order_id,
        )
        return [row["status"] for row in rows]

    async def histories(self) -> set[tuple[str, ...]]:
        """Return the distinct histories of all tickets."""
        rows = await self.connection.fetch(
            """SELECT array_agg(h.status ORDER BY h.changed_at, h.id) AS path
               FROM kitchen.order_status_history AS h GROUP BY h.kitchen_order_id"""
        )
        return {tuple(row["path"]) for row in rows}


class Stream:
    """The NOTIFICATION stream; an administrator reads it and deletes messages from it."""

    NAME = subjects.NOTIFICATION_STREAM.name

    def __init__(self, client: Client) -> None:
        self._client = client
        self._jetstream = client.jetstream()

    @property
    def is_readable(self) -> bool:
        """Whether the connection to the server is open."""
        return self._client.is_connected

    async def events(self) -> list[OrderStatusChanged]:
        """Return the kitchen's events that the stream still has, in stream order."""
        return [event for _, event in await self._stored()]

    async def events_of(self, order: CookOrder) -> list[OrderStatusChanged]:
        return [event for event in await self.events() if event.order_id == order.order_id]

    async def lose(self, order: CookOrder) -> int:
        """Delete the messages with events of the order; return how many those were."""
        lost = {sequence for sequence, event in await self._stored() if event.order_id == order.order_id}
        for sequence in lost:
            await self._jetstream.delete_msg(self.NAME, sequence)
        return len(lost)

    async def _stored(self) -> list[tuple[int, OrderStatusChanged]]:
        state = (await self._jetstream.stream_info(self.NAME)).state
        found = []
        for sequence in range(max(1, state.first_seq), state.last_seq + 1):
            try:
                message = await self._jetstream.get_msg(self.NAME, sequence)
            except nats.js.errors.NotFoundError:
                continue
            assert message.data is not None
            events = msgspec.json.decode(message.data, type=OrderStatusesChanged).events
            found += [(sequence, event) for event in events]
        return found


class Receivers:
    """Stand-ins for gateway and notification in delivery checks: they have every event that the stream still has.

    `asked` lists the checked statuses by receiver. `are_behind` makes both answer that they lag.
    `receiver_without_events` names a receiver that has no event at all.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.asked: list[tuple[str, OrderVersion]] = []
        self.are_behind = False
        self.receiver_without_events: str | None = None

    def handler(self, name: str) -> Callable[[CheckDelivery], Awaitable[DeliveryStatus]]:
        async def answer(check: CheckDelivery) -> DeliveryStatus:
            self.asked += [(name, item) for item in check.items]
            if self.are_behind:
                return DeliveryStatus(behind=True)
            received = set() if name == self.receiver_without_events else await self._received()
            return DeliveryStatus(missing=tuple(item for item in check.items if item not in received))

        return answer

    async def _received(self) -> set[OrderVersion]:
        return {
            OrderVersion(order_id=event.order_id, version=version)
            for event in await self._stream.events()
            for version in (event.version, *(step.version for step in event.earlier))
        }


class Kitchen:
    """Running replicas of the kitchen, with their database, the stream, the gateway's connection and an HTTP client."""

    def __init__(
        self,
        *,
        urls: Sequence[str],
        gateway: Gateway,
        database: KitchenDatabase,
        stream: Stream,
        web: httpx.AsyncClient,
    ) -> None:
        self.urls = urls
        self.gateway = gateway
        self.database = database
        self.stream = stream
        self.web = web

    async def wait_for_events(self, order: CookOrder, *, count: int) -> list[OrderStatusChanged]:
        """Return the order's events, once the stream has at least `count` of them."""

        async def enough() -> list[OrderStatusChanged] | None:
            events = await self.stream.events_of(order)
            return events if len(events) >= count else None

        return await until(enough)

    async def wait_for_empty_outbox(self) -> None:
        """Return when the relay has published every event."""

        async def is_empty() -> bool:
            return not await self.database.value("SELECT count(*) FROM kitchen.outbox")

        await until(is_empty)

    async def act(self, order: CookOrder, action: str) -> httpx.Response:
        """Take a ticket action over HTTP: `start`, `ready` or `collect`."""
        ticket = await self.database.ticket_of(order)
        return await self.web.post(f"/v1/tickets/{ticket['id']}/{action}")

    async def act_until(self, order: CookOrder, status: str) -> None:
        """Take ticket actions on a QUEUED ticket until it has `status`."""
        for action, leads_to in (("start", "IN_KITCHEN"), ("ready", "READY"), ("collect", "COLLECTED")):
            answer = await self.act(order, action)
            assert (answer.status_code, answer.json()["status"]) == (200, leads_to)
            if leads_to == status:
                return

    async def wait_for_tickets(self, status: str, count: int) -> None:
        """Return when exactly `count` tickets have that status."""

        async def have_status() -> bool:
            return await self.database.count(status) == count

        await until(have_status, timeout_s=DEADLINE_S)


OpenKitchen = Callable[..., Awaitable[Kitchen]]


@pytest.fixture
def kitchen_settings(service_settings: Callable[..., Any]) -> Callable[..., KitchenSettings]:
    """Settings of a kitchen that cooks in no time, unless a test overrides them."""

    def settings(**overrides: Any) -> KitchenSettings:
        times = {"prep_min_s": 0.0, "prep_max_s": 0.0}
        return service_settings(subjects.KITCHEN, KitchenSettings, **(times | overrides))

    return settings


@pytest.fixture
async def gateway(clean: None, service_settings: Callable[..., Any]) -> AsyncIterator[Gateway]:
    async with Bus(service_settings(subjects.GATEWAY, ServiceSettings), service=subjects.GATEWAY) as bus:
        await bus.connected()
        yield Gateway(bus)


@pytest.fixture
async def database(clean: None, servers: FixtureServers) -> AsyncIterator[KitchenDatabase]:
    async with servers.database_as_admin() as connection:
        yield KitchenDatabase(connection)


@pytest.fixture
async def stream(clean: None, servers: FixtureServers) -> AsyncIterator[Stream]:
    async with servers.bus_as("admin") as client:
        yield Stream(client)


@pytest.fixture
async def receivers(
    gateway: Gateway, stream: Stream, service_settings: Callable[..., Any]
) -> AsyncIterator[Receivers]:
    receivers = Receivers(stream)
    settings = service_settings(subjects.NOTIFICATION, ServiceSettings)
    async with Bus(settings, service=subjects.NOTIFICATION) as notification:
        await notification.connected()
        await gateway.bus.serve(subjects.GATEWAY_DELIVERY, receivers.handler(subjects.GATEWAY))
        await notification.serve(subjects.NOTIFICATION_DELIVERY, receivers.handler(subjects.NOTIFICATION))
        yield receivers


@pytest.fixture
async def open_kitchen(
    gateway: Gateway,
    database: KitchenDatabase,
    stream: Stream,
    kitchen_settings: Callable[..., KitchenSettings],
    serve: Callable[[ServiceApp], AbstractAsyncContextManager[str]],
    tokens: Tokens,
) -> AsyncIterator[OpenKitchen]:
    """Start `replicas` kitchens with these settings; they stop when the test ends."""
    async with AsyncExitStack() as stack:

        async def open_with(*, replicas: int = 1, **overrides: Any) -> Kitchen:
            apps = [create_app(kitchen_settings(**overrides)) for _ in range(replicas)]
            urls = [await stack.enter_async_context(serve(app)) for app in apps]
            client = plain_http(
                base_url=urls[0], headers=tokens.header(tokens.kitchen()), timeout_s=DEADLINE_S
            )
            web = await stack.enter_async_context(client)
            for url in urls:
                await until(partial(_is_ready, web, url), timeout_s=DEADLINE_S)
            return Kitchen(urls=urls, gateway=gateway, database=database, stream=stream, web=web)

        yield open_with


async def _is_ready(web: httpx.AsyncClient, url: str) -> bool:
    return (await web.get(f"{url}/health/ready")).status_code == 200
