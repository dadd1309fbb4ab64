"""A real kitchen on real servers: work comes as the gateway sends it, and what it says is read off the stream."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import nats.js.errors
import pytest
from nats.aio.client import Client

from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.messaging.outbox import outbox_message
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts import subjects
from cafeteria.contracts.kitchen import CancelAnswered, CancelTicket, CookOrder
from cafeteria.contracts.orders import AskKnown, KnownAnswered, OrderStatusChanged, OrderStatusesChanged
from cafeteria.contracts.values import OrderStatus, OrderVersion, PricedLine, StatusTime
from cafeteria.kitchen.app import create_app
from cafeteria.kitchen.settings import KitchenSettings
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.testkit.plugin import has_read_all, outbox_row, until

DEADLINE_S = 20.0
STUDENT = "210041101"


def an_order() -> CookOrder:
    """Verified a moment ago; its path is the gateway's."""
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
    """What the gateway asks and sends, over a connection with the gateway's rights."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def an_order(self) -> CookOrder:
        return an_order()

    async def place(self, *orders: CookOrder) -> None:
        """Returns when the stream has them."""
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
        await self.bus.client.jetstream().publish(
            subjects.WORK_PLACED.subject, b'{"orders": [{"order_id": "none"}]}'
        )

    async def work_waiting(self, servers: Any) -> int:
        """Messages that the kitchen has not acknowledged, without the newest, which are counted a moment later."""
        async with servers.bus_as(subjects.KITCHEN) as client:
            info = await client.jetstream().consumer_info(
                subjects.KITCHEN_WORK.stream, subjects.KITCHEN_WORK.name
            )
            return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def has_been_heard(self, servers: Any) -> bool:
        """The kitchen has acknowledged all work."""
        async with servers.bus_as("admin") as client:
            return await has_read_all(client, subjects.KITCHEN_WORK)

    async def cancel(self, order: CookOrder) -> CancelAnswered:
        facts = msgspec.structs.asdict(order)
        asked = CancelTicket(**{name: facts[name] for name in CancelTicket.__struct_fields__})
        return await self.bus.request(subjects.CANCEL, asked, deadline_s=DEADLINE_S)

    async def ask_known(self, *order_ids: UUID) -> KnownAnswered:
        items = tuple(OrderVersion(order_id=order_id, version=2) for order_id in order_ids)
        return await self.bus.request(subjects.KITCHEN_KNOWN, AskKnown(items=items), deadline_s=DEADLINE_S)


class Books:
    """Everything that the kitchen has stored, read by an administrator."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def value(self, query: str, *parameters: Any) -> Any:
        return await self.connection.fetchval(query, *parameters)

    async def count(self, status: str) -> int:
        return int(await self.value("SELECT count(*) FROM kitchen.kitchen_orders WHERE status = $1", status))

    async def status_of(self, order: CookOrder) -> str | None:
        query = "SELECT status FROM kitchen.kitchen_orders WHERE order_id = $1"
        return await self.value(query, order.order_id)  # type: ignore[no-any-return]

    async def ticket_of(self, order: CookOrder) -> asyncpg.Record:
        query = "SELECT * FROM kitchen.kitchen_orders WHERE order_id = $1"
        return await self.connection.fetchrow(query, order.order_id)

    async def history_of(self, order: CookOrder) -> list[str]:
        rows = await self.connection.fetch(
            """SELECT h.status FROM kitchen.order_status_history AS h
               JOIN kitchen.kitchen_orders AS k ON k.id = h.kitchen_order_id
               WHERE k.order_id = $1 ORDER BY h.changed_at, h.id""",
            order.order_id,
        )
        return [row["status"] for row in rows]

    async def histories(self) -> set[tuple[str, ...]]:
        """The distinct histories over all tickets."""
        rows = await self.connection.fetch(
            """SELECT array_agg(h.status ORDER BY h.changed_at, h.id) AS path
               FROM kitchen.order_status_history AS h GROUP BY h.kitchen_order_id"""
        )
        return {tuple(row["path"]) for row in rows}


class Stream:
    """The NOTIFICATION stream, read and damaged by an administrator."""

    NAME = subjects.NOTIFICATION_STREAM.name

    def __init__(self, client: Client) -> None:
        self._client = client
        self._jetstream = client.jetstream()

    @property
    def is_readable(self) -> bool:
        """The server is there, and may be asked."""
        return self._client.is_connected

    async def said(self) -> list[OrderStatusChanged]:
        """What the kitchen has said and the stream still has, in stream order."""
        return [news for _, news in await self._stored()]

    async def said_of(self, order: CookOrder) -> list[OrderStatusChanged]:
        return [news for news in await self.said() if news.order_id == order.order_id]

    async def lose(self, order: CookOrder) -> int:
        """Delete the messages that tell of the order; returns how many those were."""
        lost = {sequence for sequence, news in await self._stored() if news.order_id == order.order_id}
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
    """Gateway and notification, as far as the kitchen asks them: they know what the stream has shown them."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.asked: list[tuple[str, OrderVersion]] = []
        self.are_behind = False
        self.is_deaf: str | None = None

    def door(self, name: str) -> Callable[[AskKnown], Awaitable[KnownAnswered]]:
        async def answer(question: AskKnown) -> KnownAnswered:
            self.asked += [(name, item) for item in question.items]
            if self.are_behind:
                return KnownAnswered(behind=True)
            heard = set() if self.is_deaf == name else await self._heard()
            return KnownAnswered(missing=tuple(item for item in question.items if item not in heard))

        return answer

    async def _heard(self) -> set[OrderVersion]:
        heard = set()
        for news in await self._stream.said():
            for version in (news.version, *(step.version for step in news.earlier)):
                heard.add(OrderVersion(order_id=news.order_id, version=version))
        return heard


class Kitchen:
    """Running replicas and everybody around them."""

    def __init__(
        self, *, urls: Sequence[str], gateway: Gateway, books: Books, stream: Stream, web: httpx.AsyncClient
    ) -> None:
        self.urls = urls
        self.gateway = gateway
        self.books = books
        self.stream = stream
        self.web = web

    async def hear(self, order: CookOrder, *, count: int) -> list[OrderStatusChanged]:
        """What was said of the order, once there is that much."""

        async def enough() -> list[OrderStatusChanged] | None:
            said = await self.stream.said_of(order)
            return said if len(said) >= count else None

        return await until(enough)  # type: ignore[no-any-return]

    async def all_is_said(self) -> None:
        """Returns when the outbox is empty."""

        async def is_empty() -> bool:
            return not await self.books.value("SELECT count(*) FROM kitchen.outbox")

        await until(is_empty)

    async def press(self, order: CookOrder, press: str) -> httpx.Response:
        ticket = await self.books.ticket_of(order)
        return await self.web.post(f"/v1/tickets/{ticket['id']}/{press}")

    async def press_until(self, order: CookOrder, status: str) -> None:
        """Press a QUEUED ticket as far as `status`."""
        for press, leads_to in (("start", "IN_KITCHEN"), ("ready", "READY"), ("collect", "COLLECTED")):
            answer = await self.press(order, press)
            assert (answer.status_code, answer.json()["status"]) == (200, leads_to)
            if leads_to == status:
                return

    async def all_stand(self, status: str, count: int) -> None:
        """Returns when so many tickets have that status."""

        async def are_there() -> bool:
            return await self.books.count(status) == count

        await until(are_there, timeout_s=DEADLINE_S)


OpenKitchen = Callable[..., Awaitable[Kitchen]]


@pytest.fixture
def kitchen_settings(service_settings: Any) -> Callable[..., KitchenSettings]:
    """A kitchen that cooks in no time, unless told otherwise."""

    def settings(**overrides: Any) -> KitchenSettings:
        times = {"prep_min_s": 0.0, "prep_max_s": 0.0}
        return service_settings(subjects.KITCHEN, KitchenSettings, **(times | overrides))  # type: ignore[no-any-return]

    return settings


@pytest.fixture
async def gateway(clean: None, service_settings: Any) -> AsyncIterator[Gateway]:
    async with Bus(service_settings(subjects.GATEWAY, ServiceSettings), service=subjects.GATEWAY) as bus:
        await bus.connected()
        yield Gateway(bus)


@pytest.fixture
async def books(clean: None, servers: Any) -> AsyncIterator[Books]:
    async with servers.database_as_admin() as connection:
        yield Books(connection)


@pytest.fixture
async def stream(clean: None, servers: Any) -> AsyncIterator[Stream]:
    async with servers.bus_as("admin") as client:
        yield Stream(client)


@pytest.fixture
async def receivers(gateway: Gateway, stream: Stream, service_settings: Any) -> AsyncIterator[Receivers]:
    stand_ins = Receivers(stream)
    settings = service_settings(subjects.NOTIFICATION, ServiceSettings)
    async with Bus(settings, service=subjects.NOTIFICATION) as notification:
        await notification.connected()
        await gateway.bus.serve(subjects.GATEWAY_KNOWN, stand_ins.door(subjects.GATEWAY))
        await notification.serve(subjects.NOTIFICATION_KNOWN, stand_ins.door(subjects.NOTIFICATION))
        yield stand_ins


@pytest.fixture
async def open_kitchen(
    gateway: Gateway, books: Books, stream: Stream, kitchen_settings: Any, serve: Any, tokens: Any
) -> AsyncIterator[OpenKitchen]:
    """Start so many replicas with these settings; they stop with the test."""
    async with AsyncExitStack() as stack:

        async def open_with(*, replicas: int = 1, **overrides: Any) -> Kitchen:
            apps = [create_app(kitchen_settings(**overrides)) for _ in range(replicas)]
            urls = [await stack.enter_async_context(serve(app)) for app in apps]
            client = plain_http(
                base_url=urls[0], headers=tokens.header(tokens.kitchen()), timeout_s=DEADLINE_S
            )
            web = await stack.enter_async_context(client)
            for url in urls:
                await until(lambda url=url: _is_ready(web, url), timeout_s=DEADLINE_S)
            return Kitchen(urls=urls, gateway=gateway, books=books, stream=stream, web=web)

        yield open_with


async def _is_ready(web: httpx.AsyncClient, url: str) -> bool:
    return (await web.get(f"{url}/health/ready")).status_code == 200
