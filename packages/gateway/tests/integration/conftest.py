"""Fixtures with real gateways on real servers, fakes of the services around them, and what a crashed gateway leaves.

Each fake is on the real bus with the rights of the service that it replaces, and keeps its promises (one decision per
order, a repeated cancel gets the same answer); a test can make it stop answering, lose replies, or refuse. The contract
tests hold the real services to the same promises.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.messaging.items import UnreadableItem, items_decoder_for
from cafeteria.chassis.messaging.rpc import ERROR_CODE_HEADER
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts import subjects
from cafeteria.contracts.channels import HEADER_MESSAGE_ID, Rpc, Topic
from cafeteria.contracts.kitchen import CancelAnswered, CancelTicket
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus, OrderStatusChanged, OrderStatusesChanged
from cafeteria.contracts.stock import (
    MAX_AGE_MS,
    MAX_ORDERS,
    AvailabilityChanged,
    Decision,
    ItemAvailability,
    ItemPrice,
    ReleaseStock,
    ReserveOrders,
    ReserveStock,
    StockDecided,
    StockReleased,
)
from cafeteria.contracts.values import STATUS_VERSIONS, Line, OrderStatus, OrderVersion, RejectionReason
from cafeteria.gateway.answers import settlement
from cafeteria.gateway.app import create_app
from cafeteria.gateway.domain import NewOrder, PendingOrder, Placing, Verdict, judge, pending_order
from cafeteria.gateway.idempotency import request_hash, stored_key
from cafeteria.gateway.repository import receive_orders as receive_sql
from cafeteria.gateway.repository import settle_orders as settle_sql
from cafeteria.gateway.settings import GatewaySettings
from cafeteria.gateway.use_cases import Service, cancel_order, place_order, receive_orders, settle_orders
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.testkit.plugin import has_read_all, until
from cafeteria.testkit.servers import FixtureServers
from cafeteria.testkit.tokens import Tokens

PRICE = Decimal("45.50")
STUDENT = "210041101"
ANOTHER_STUDENT = "210041102"
TIMEOUT_S = 20.0
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

_AGED = """
UPDATE gateway.orders SET created_at = created_at - $2::interval, expires_at = expires_at - $2::interval,
    next_ask_at = next_ask_at - $2::interval
WHERE id = $1
"""


class RefusedError(Exception):
    """Makes the fake reply with an error of this code, as services do."""


class FakePeer:
    """Answers requests until a test stops it. `request_count` counts every request that arrived."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.request_count = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self.loses_replies = False
        self._tasks: set[asyncio.Task[None]] = set()

    def stop_answering(self) -> None:
        """Requests wait, as in a stopped process, until `resume_answering`."""
        self.answering.clear()

    def resume_answering(self) -> None:
        self.answering.set()

    async def serve(self, rpc: Rpc[Any, Any], decide: Callable[[Any], Any]) -> None:
        decoder = msgspec.json.Decoder(rpc.request)

        async def answer(message: Msg) -> None:
            await self.answering.wait()
            try:
                reply = decide(decoder.decode(message.data))
            except RefusedError as error:
                await self.client.publish(message.reply, headers={ERROR_CODE_HEADER: str(error)})
                return
            if not self.loses_replies:
                await message.respond(msgspec.json.encode(reply))

        async def on_message(message: Msg) -> None:
            self.request_count += 1
            task = asyncio.create_task(answer(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        await self.client.subscribe(rpc.subject, queue=rpc.owner, cb=on_message)
        await self.client.flush()

    async def close(self) -> None:
        self.resume_answering()
        if self._tasks:
            await asyncio.wait(self._tasks)


class FakeStock(FakePeer):
    """Keeps portions in memory and one decision per order for ever; rejects new orders that are too old.

    `asked` holds the orders of each request. `leaves_out` are orders whose decisions are missing in replies, `instead`
    maps an order to what replaces its decision. A request with one of `refuses` is refused as a whole, and so are the
    next `is_away_for` requests, as by a stock whose database is down. A reply has at most `holds` decisions.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.portions: dict[UUID, int] = {}
        self.decisions: dict[UUID, StockDecided] = {}
        self.released: dict[UUID, StockReleased] = {}
        self.version = 1
        self.asked: list[tuple[ReserveStock, ...]] = []
        self.leaves_out: set[UUID] = set()
        self.instead: dict[UUID, Any] = {}
        self.refuses: set[UUID] = set()
        self.is_away_for = 0
        self.holds = MAX_ORDERS

    async def open(self) -> None:
        await self.serve(subjects.RESERVE, self.reserve_all)
        await self.serve(subjects.RELEASE, self.release)

    def stock_up(self, quantity: int) -> UUID:
        item_id = new_id()
        self.portions[item_id] = quantity
        return item_id

    def reserve_all(self, asked: ReserveOrders) -> Any:
        self.asked.append(asked.orders)
        if self.refuses & {order.order_id for order in asked.orders}:
            raise RefusedError("500")
        if self.is_away_for:
            self.is_away_for -= 1
            raise RefusedError("503")
        decisions = [(order.order_id, self.reserve(order)) for order in asked.orders]
        replied = [
            self.instead.get(order_id, decided)
            for order_id, decided in decisions
            if order_id not in self.leaves_out
        ]
        return {"decisions": replied[: self.holds]}

    def reserve(self, asked: ReserveStock) -> StockDecided:
        if asked.order_id not in self.decisions:
            self.decisions[asked.order_id] = self._decide(asked)
        return self.decisions[asked.order_id]

    def _decide(self, asked: ReserveStock) -> StockDecided:
        if asked.age_ms > MAX_AGE_MS:
            return _refused(asked, RejectionReason.EXPIRED, ())
        if unknown := tuple(line.item_id for line in asked.lines if line.item_id not in self.portions):
            return _refused(asked, RejectionReason.UNKNOWN_ITEM, unknown)
        short = tuple(line.item_id for line in asked.lines if self.portions[line.item_id] < line.quantity)
        if short:
            return _refused(asked, RejectionReason.OUT_OF_STOCK, short)
        self.version += 1
        for line in asked.lines:
            self.portions[line.item_id] -= line.quantity
        prices = tuple(
            ItemPrice(item_id=line.item_id, name=_name(line.item_id), unit_price=PRICE)
            for line in asked.lines
        )
        return StockDecided(order_id=asked.order_id, decision=Decision.RESERVED, items=prices)

    def release(self, asked: ReleaseStock) -> StockReleased:
        if asked.order_id not in self.released:
            self.released[asked.order_id] = StockReleased(order_id=asked.order_id, released_at=now())
        return self.released[asked.order_id]

    async def publish_availability(self, *, complete: bool = True) -> None:
        """Publish what is left of all items, as stock does each second."""
        items = tuple(
            ItemAvailability(
                item_id=item_id,
                name=_name(item_id),
                unit_price=PRICE,
                available=available,
                version=self.version,
            )
            for item_id, available in self.portions.items()
        )
        event = AvailabilityChanged(items=items, complete=complete)
        await self.client.publish(subjects.AVAILABILITY.subject, msgspec.json.encode(event))
        await self.client.flush()


class FakeKitchen(FakePeer):
    """Cancels tickets, except those of orders in `begun`; those in `refused` it has cancelled itself."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.knows_all = True
        self.begun: set[UUID] = set()
        self.refused: set[UUID] = set()
        self.tickets: list[CancelTicket] = []
        self.cancelled: dict[UUID, CancelAnswered] = {}
        self.asked_about: list[OrderVersion] = []

    async def open(self) -> None:
        await self.serve(subjects.CANCEL, self.cancel)
        await self.serve(subjects.KITCHEN_DELIVERY, self.check_delivery)

    def cancel(self, asked: CancelTicket) -> CancelAnswered:
        self.tickets.append(asked)
        if asked.order_id in self.begun:
            return _cancel_answer(asked.order_id, OrderStatus.IN_KITCHEN)
        if asked.order_id not in self.cancelled:
            reason = RejectionReason.KITCHEN if asked.order_id in self.refused else None
            self.cancelled[asked.order_id] = _cancel_answer(asked.order_id, OrderStatus.CANCELLED, reason)
        return self.cancelled[asked.order_id]

    def check_delivery(self, asked: CheckDelivery) -> DeliveryStatus:
        self.asked_about.extend(asked.items)
        return DeliveryStatus(missing=() if self.knows_all else asked.items)

    async def publish_status(
        self,
        order: dict[str, Any],
        status: OrderStatus,
        *,
        student_id: str,
        message_id: UUID | None = None,
        reason: RejectionReason | None = None,
    ) -> None:
        """Publish a status event of the kitchen to the stream."""
        event = OrderStatusChanged(
            order_id=UUID(order["id"]),
            student_id=student_id,
            status=status,
            version=STATUS_VERSIONS[status],
            at=now() + timedelta(milliseconds=STATUS_VERSIONS[status]),
            reason=reason,
        )
        await self.publish_raw(
            msgspec.json.encode(OrderStatusesChanged(events=(event,))), message_id=message_id
        )

    async def publish_raw(self, body: bytes, *, message_id: UUID | None = None) -> None:
        await self.client.jetstream().publish(
            subjects.KITCHEN_STATUS.subject, body, headers={HEADER_MESSAGE_ID: str(message_id or new_id())}
        )

    async def ask_gateway(self, *versions: OrderVersion) -> DeliveryStatus:
        answer = await self.client.request(
            subjects.GATEWAY_DELIVERY.subject, msgspec.json.encode(CheckDelivery(items=versions)), timeout=5
        )
        return msgspec.json.decode(answer.data, type=DeliveryStatus)


class FakeNotification(FakePeer):
    """Has received every state, or none if `knows_all` is False."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.knows_all = True
        self.is_behind = False
        self.asked_about: list[OrderVersion] = []

    async def open(self) -> None:
        await self.serve(subjects.NOTIFICATION_DELIVERY, self.check_delivery)

    def check_delivery(self, asked: CheckDelivery) -> DeliveryStatus:
        self.asked_about.extend(asked.items)
        return DeliveryStatus(missing=() if self.knows_all else asked.items, behind=self.is_behind)


def _refused(asked: ReserveStock, reason: RejectionReason, items: tuple[UUID, ...]) -> StockDecided:
    return StockDecided(
        order_id=asked.order_id, decision=Decision.REJECTED, reason=reason, refused_item_ids=items
    )


def _cancel_answer(
    order_id: UUID, status: OrderStatus, reason: RejectionReason | None = None
) -> CancelAnswered:
    return CancelAnswered(
        order_id=order_id,
        cancelled=status is OrderStatus.CANCELLED,
        status=status,
        version=STATUS_VERSIONS[status],
        at=now(),
        reason=reason,
    )


def _name(item_id: UUID) -> str:
    return f"Dish {item_id.hex[-6:]}"


class RunningGateway:
    """One running gateway, its HTTP client, and access to what it has stored and published."""

    def __init__(
        self, *, app: ServiceApp, url: str, admin_database: asyncpg.Connection, tokens: Tokens, admin: Client
    ) -> None:
        self.service: Service = app.state.service
        self.url = url
        self.admin_database = admin_database
        self._tokens = tokens
        self._admin = admin
        self.web = plain_http(base_url=url, timeout_s=TIMEOUT_S)

    def headers(self, student: str = STUDENT, *, key: str | None = None) -> dict[str, str]:
        signed_in = {"Authorization": f"Bearer {self._tokens.student(student)}"}
        return signed_in if key is None else {**signed_in, "Idempotency-Key": key}

    async def order(
        self, lines: dict[UUID, int], *, student: str = STUDENT, key: str | None = None
    ) -> httpx.Response:
        body = {"lines": [{"item_id": str(item), "quantity": count} for item, count in lines.items()]}
        return await self.web.post(
            "/v1/orders", json=body, headers=self.headers(student, key=key or uuid4().hex)
        )

    async def read(self, order_id: str, *, student: str = STUDENT) -> dict[str, Any]:
        answer = await self.web.get(f"/v1/orders/{order_id}", headers=self.headers(student))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def status(self, order_id: str) -> str:
        return str(
            await self.admin_database.fetchval(
                "SELECT status FROM gateway.orders WHERE id = $1", UUID(order_id)
            )
        )

    async def row(self, order_id: str) -> Any:
        return await self.admin_database.fetchrow(
            "SELECT * FROM gateway.orders WHERE id = $1", UUID(order_id)
        )

    async def cancel(self, order_id: str, *, student: str = STUDENT) -> httpx.Response:
        return await self.web.post(f"/v1/orders/{order_id}/cancel", headers=self.headers(student))

    async def count(self, table: str) -> int:
        return int(await self.admin_database.fetchval(f"SELECT count(*) FROM gateway.{table}"))  # noqa: S608 - a table

    async def has_read_all(self) -> bool:
        """Every event of the kitchen has been acknowledged."""
        return await has_read_all(self._admin, subjects.GATEWAY_PROJECTION)

    async def has_published_all(self) -> bool:
        return await self.count("outbox") == 0

    async def published(self, topic: Topic[Any], *, order_id: str | None = None) -> list[Any]:
        """Return the items of this topic in the stream, in stream order."""
        stream = subjects.KITCHEN_STREAM if topic is subjects.WORK_PLACED else subjects.NOTIFICATION_STREAM
        jetstream = self._admin.jetstream()
        state = (await jetstream.stream_info(stream.name)).state
        messages = [
            await jetstream.get_msg(stream.name, seq) for seq in range(state.first_seq, state.last_seq + 1)
        ]
        decoder = items_decoder_for(topic.body)
        items = [
            item
            for message in messages
            if message.subject == topic.subject
            for item in decoder.decode(message.data or b"")
            if not isinstance(item, UnreadableItem)
        ]
        return [item for item in items if order_id is None or str(item.order_id) == order_id]


OpenGateway = Callable[..., Awaitable[RunningGateway]]
RunGateway = Callable[..., AbstractAsyncContextManager[RunningGateway]]


@pytest.fixture
async def stock(clean: None, servers: FixtureServers) -> AsyncIterator[FakeStock]:
    async with servers.bus_as(subjects.STOCK) as client:
        peer = FakeStock(client)
        await peer.open()
        yield peer
        await peer.close()


@pytest.fixture
async def kitchen(clean: None, servers: FixtureServers) -> AsyncIterator[FakeKitchen]:
    async with servers.bus_as(subjects.KITCHEN) as client:
        peer = FakeKitchen(client)
        await peer.open()
        yield peer
        await peer.close()


@pytest.fixture
async def notification(clean: None, servers: FixtureServers) -> AsyncIterator[FakeNotification]:
    async with servers.bus_as(subjects.NOTIFICATION) as client:
        peer = FakeNotification(client)
        await peer.open()
        yield peer
        await peer.close()


@pytest.fixture
async def admin_database(servers: FixtureServers, clean: None) -> AsyncIterator[asyncpg.Connection]:
    async with servers.database_as_admin() as connection:
        yield connection


@pytest.fixture
def run_gateway(
    clean: None,
    servers: FixtureServers,
    admin_database: asyncpg.Connection,
    service_settings: Callable[..., Any],
    serve: Callable[[ServiceApp], AbstractAsyncContextManager[str]],
    tokens: Tokens,
) -> RunGateway:
    """Run a gateway with the given settings; exiting stops it as SIGTERM does."""

    @asynccontextmanager
    async def run(**settings: Any) -> AsyncIterator[RunningGateway]:
        app = create_app(service_settings(subjects.GATEWAY, GatewaySettings, **settings))
        async with servers.bus_as("admin") as admin, serve(app) as url:
            gateway = RunningGateway(
                app=app, url=url, admin_database=admin_database, tokens=tokens, admin=admin
            )
            async with gateway.web:
                await until(lambda: answers(gateway))
                yield gateway

    return run


@pytest.fixture
def long_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long deadlines for a commit and for stock's decision, so that a slow machine turns no 201 into a 202 or 503."""
    for module in (cancel_order, settle_orders, place_order):
        monkeypatch.setattr(module, "DECIDE_WITHIN_S", TIMEOUT_S)
    monkeypatch.setattr(receive_orders, "SLOW_COMMIT_S", TIMEOUT_S)


@pytest.fixture
async def open_gateway(run_gateway: RunGateway) -> AsyncIterator[OpenGateway]:
    """Start a gateway that stops with the test."""
    async with AsyncExitStack() as stack:

        async def open_one(**settings: Any) -> RunningGateway:
            gateway: RunningGateway = await stack.enter_async_context(run_gateway(**settings))
            return gateway

        yield open_one


@pytest.fixture
async def gateway(open_gateway: OpenGateway) -> RunningGateway:
    return await open_gateway()


def new_placing(lines: dict[UUID, int], *, key: str | None = None, student_id: str = STUDENT) -> Placing:
    """The request as the HTTP route passes it on, for direct calls of the use case."""
    asked = tuple(Line(item_id=item, quantity=count) for item, count in lines.items())
    order = NewOrder(id=new_id(), student_id=student_id, lines=asked, traceparent=TRACEPARENT)
    stored = stored_key(student_id, key or uuid4().hex)
    return Placing(order=order, key=stored, request_hash=request_hash(asked))


class BrokenStack:
    """Stores what a crashed process has left behind, by the gateway's own statements."""

    def __init__(self, database: Database, admin_database: asyncpg.Connection) -> None:
        self.database = database
        self._admin_database = admin_database

    async def receive(self, placings: Sequence[Placing]) -> set[UUID]:
        """Receive the orders in one batch; return the ids of those that are new."""
        async with self.database.statement() as connection:
            received = await receive_sql.receive(connection, placings)
        return {placing.order.id for placing in placings} - received.repeats

    def verdict_on(self, placing: Placing) -> Verdict:
        """Return the verdict after stock has reserved the order, all items at one price."""
        prices = tuple(
            ItemPrice(item_id=line.item_id, name="Haleem", unit_price=Decimal("120.00"))
            for line in placing.order.lines
        )
        decided = StockDecided(order_id=placing.order.id, decision=Decision.RESERVED, items=prices)
        return judge(pending_order(placing.order, at=now()), decided, at=now())

    async def received(self, lines: dict[UUID, int], *, key: str = "k", age_s: float = 0) -> PendingOrder:
        """An order received `age_s` seconds ago, with no process working on it."""
        placing = new_placing(lines, key=key)
        order = placing.order
        async with self.database.statement() as connection:
            received = await receive_sql.receive(connection, [placing])
        assert not received.repeats
        if age_s:
            await self._admin_database.execute(_AGED, order.id, timedelta(seconds=age_s))
        return pending_order(order, at=received.at - timedelta(seconds=age_s))

    async def received_many(self, lines: dict[UUID, int], count: int) -> None:
        """Receive `count` orders of the same lines, in one batch."""
        assert len(await self.receive([new_placing(lines) for _ in range(count)])) == count

    async def make_due(self, *columns: str, age_s: float) -> None:
        """Move these times of all orders `age_s` seconds into the past."""
        changes = ", ".join(f"{column} = {column} - $1::interval" for column in columns)
        await self._admin_database.execute(
            f"UPDATE gateway.orders SET {changes}",  # noqa: S608 - written in the test
            timedelta(seconds=age_s),
        )

    async def set_due(self, column: str) -> None:
        """Set this time of all orders to the past, so that they are due."""
        await self._admin_database.execute(
            f"UPDATE gateway.orders SET {column} = now() - interval '1 ms'"  # noqa: S608 - written in the test
        )

    async def settled(self, order: PendingOrder, decided: StockDecided) -> bytes:
        """Settle the order without sending its answer; return the stored answer."""
        settled = settlement(judge(order, decided, at=now()))
        async with self.database.statement() as connection:
            await settle_sql.settle(connection, [settled])
        return settled.answer.body

    async def lose_messages(self) -> None:
        """Delete the outbox, as if the relay had published the messages and NATS had lost them."""
        await self._admin_database.execute("DELETE FROM gateway.outbox")
        await self._admin_database.execute(
            "UPDATE gateway.orders SET next_check_at = now() - interval '1 second'"
        )

    async def change(self, order: PendingOrder, assignment: str) -> None:
        await self._admin_database.execute(
            f"UPDATE gateway.orders SET {assignment} WHERE id = $1",  # noqa: S608 - written in the test
            order.id,
        )


class LosesConnection(Database):
    """A database that loses its connection `times` times, after the commit or before it."""

    def __init__(self, database: Database, *, times: int, is_committed: bool) -> None:
        super().__init__(database._connections, database._faults)
        self._times = times
        self._is_committed = is_committed

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        self._times -= 1
        if self._times >= 0 and not self._is_committed:
            raise DatabaseUnavailable
        async with super().statement() as connection:
            yield connection
        if self._times >= 0:
            raise DatabaseUnavailable


@pytest.fixture
def loses_connection() -> type[LosesConnection]:
    return LosesConnection


@pytest.fixture
def placing() -> Callable[..., Placing]:
    return new_placing


@pytest.fixture
async def broken_stack(
    clean: None, service_settings: Callable[..., Any], admin_database: asyncpg.Connection
) -> AsyncIterator[BrokenStack]:
    database = Database.connect(service_settings(subjects.GATEWAY, GatewaySettings), service=subjects.GATEWAY)
    yield BrokenStack(database, admin_database)
    await database.close()


async def answers(gateway: RunningGateway) -> bool:
    """Signed-in requests are served: both servers and identity's keys are there."""
    answer = await gateway.web.get("/v1/orders", headers=gateway.headers())
    return answer.status_code == 200
