"""One or several real gateways on real servers, students who order over HTTP, and a view of what is stored."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from cafeteria.chassis.bus.items import items_decoder_for
from cafeteria.chassis.clock import now
from cafeteria.chassis.database import Database, DatabaseUnavailable
from cafeteria.chassis.ids import new_id
from cafeteria.contracts import bus
from cafeteria.contracts.stock import StockDecided
from cafeteria.contracts.values import Line
from cafeteria.gateway.app import create_app
from cafeteria.gateway.domain import NewOrder, PendingOrder, Placing, judge, pending_order, settlement
from cafeteria.gateway.idempotency import request_hash, stored_key
from cafeteria.gateway.repository import decisions, intake
from cafeteria.gateway.service import cancel_order, decide, place_order
from cafeteria.gateway.settings import GatewaySettings
from cafeteria.local_stack.plain_http import plain_http
from cafeteria.local_stack.testing import has_read_all, until

STUDENT = "210041101"
ANOTHER_STUDENT = "210041102"
TIMEOUT_S = 20.0
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

_AGED = """
UPDATE gateway.orders SET created_at = created_at - $2::interval, expires_at = expires_at - $2::interval,
    next_ask_at = next_ask_at - $2::interval
WHERE id = $1
"""


class Counter:
    """Where students stand: one gateway process, and what it has stored."""

    def __init__(self, *, app: Any, url: str, books: asyncpg.Connection, tokens: Any, admin: Any) -> None:
        self.app = app
        self.url = url
        self.books = books
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
            await self.books.fetchval("SELECT status FROM gateway.orders WHERE id = $1", UUID(order_id))
        )

    async def row(self, order_id: str) -> asyncpg.Record:
        return await self.books.fetchrow("SELECT * FROM gateway.orders WHERE id = $1", UUID(order_id))

    async def cancel(self, order_id: str, *, student: str = STUDENT) -> httpx.Response:
        return await self.web.post(f"/v1/orders/{order_id}/cancel", headers=self.headers(student))

    async def count(self, table: str) -> int:
        return int(await self.books.fetchval(f"SELECT count(*) FROM gateway.{table}"))  # noqa: S608 - a table's name

    async def has_read_all(self) -> bool:
        """Every event of the kitchen has been acknowledged."""
        return await has_read_all(self._admin, bus.GATEWAY_PROJECTION)

    async def has_said_all(self) -> bool:
        return await self.count("outbox") == 0

    async def said(self, topic: Any, *, order_id: str | None = None) -> list[Any]:
        """The items that have reached the stream on this topic, in their order."""
        stream = bus.KITCHEN_STREAM if topic is bus.WORK_PLACED else bus.NOTIFICATION_STREAM
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
            for item in decoder.decode(message.data)
        ]
        return [item for item in items if order_id is None or str(item.order_id) == order_id]


OpenGateway = Callable[..., Awaitable[Counter]]


@pytest.fixture
async def books(servers: Any, clean: None) -> AsyncIterator[asyncpg.Connection]:
    async with servers.database_as_admin() as connection:
        yield connection


@pytest.fixture
def a_gateway(
    clean: None, servers: Any, books: asyncpg.Connection, service_settings: Any, serve: Any, tokens: Any
) -> Callable[..., AbstractAsyncContextManager[Counter]]:
    """Start a gateway, with settings as given; leaving stops it as SIGTERM does."""

    @asynccontextmanager
    async def run(**settings: Any) -> AsyncIterator[Counter]:
        app = create_app(service_settings(bus.GATEWAY, GatewaySettings, **settings))
        async with servers.bus_as("admin") as admin, serve(app) as url:
            counter = Counter(app=app, url=url, books=books, tokens=tokens, admin=admin)
            async with counter.web:
                await until(lambda: answers(counter))
                yield counter

    return run


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Students wait for a commit and for stock's decision however long it takes: no slow machine makes a 201 a 202 or 503."""
    for module in (cancel_order, decide, place_order):
        monkeypatch.setattr(module, "DECIDE_WITHIN_S", TIMEOUT_S)
    monkeypatch.setattr(place_order, "SLOW_COMMIT_S", TIMEOUT_S)


@pytest.fixture
async def open_gateway(a_gateway: Any) -> AsyncIterator[OpenGateway]:
    """Start a gateway that stops with the test."""
    async with AsyncExitStack() as stack:

        async def open_one(**settings: Any) -> Counter:
            counter: Counter = await stack.enter_async_context(a_gateway(**settings))
            return counter

        yield open_one


@pytest.fixture
async def counter(open_gateway: OpenGateway) -> Counter:
    return await open_gateway()


def new_placing(lines: dict[UUID, int], *, key: str | None = None) -> Placing:
    """As the HTTP route makes it of a request, for calls of the use case itself."""
    asked = tuple(Line(item_id=item, quantity=count) for item, count in lines.items())
    order = NewOrder(id=new_id(), student_id=STUDENT, lines=asked, traceparent=TRACEPARENT)
    return Placing(order=order, key=stored_key(STUDENT, key or uuid4().hex), request_hash=request_hash(asked))


class Wreck:
    """Makes what a process that died has left behind, with the gateway's own commits."""

    def __init__(self, database: Database, books: asyncpg.Connection) -> None:
        self._database = database
        self._books = books

    async def received(self, lines: dict[UUID, int], *, key: str = "k", age_s: float = 0) -> PendingOrder:
        """Stored so long ago; nobody goes on with it."""
        placing = new_placing(lines, key=key)
        order = placing.order
        async with self._database.statement() as connection:
            received = await intake.receive(connection, [placing])
        assert not received.unmade
        if age_s:
            await self._books.execute(_AGED, order.id, timedelta(seconds=age_s))
        return pending_order(order, at=received.at - timedelta(seconds=age_s))

    async def received_many(self, lines: dict[UUID, int], count: int) -> None:
        """So many orders of the same lines, in one batch."""
        placings = [new_placing(lines) for _ in range(count)]
        async with self._database.statement() as connection:
            assert not (await intake.receive(connection, placings)).unmade

    async def make_due(self, *columns: str, age_s: float) -> None:
        """As if all orders were so much older."""
        changes = ", ".join(f"{column} = {column} - $1::interval" for column in columns)
        await self._books.execute(
            f"UPDATE gateway.orders SET {changes}",  # noqa: S608 - written in the test
            timedelta(seconds=age_s),
        )

    async def settled(self, order: PendingOrder, decided: StockDecided) -> bytes:
        """Settled too, and its answer never sent; returns the stored answer."""
        settled = settlement(judge(order, decided, at=now()))
        async with self._database.statement() as connection:
            await decisions.settle(connection, [settled])
        return settled.verdict.answer.body

    async def lose_messages(self) -> None:
        """They had left the outbox, and NATS lost them."""
        await self._books.execute("DELETE FROM gateway.outbox")
        await self._books.execute("UPDATE gateway.orders SET next_check_at = now() - interval '1 second'")

    async def change(self, order: PendingOrder, assignment: str) -> None:
        await self._books.execute(
            f"UPDATE gateway.orders SET {assignment} WHERE id = $1",  # noqa: S608 - written in the test
            order.id,
        )


class LosesTheServer:
    """A database whose connection is lost so many times, after the commit or before it."""

    def __init__(self, database: Any, *, times: int, is_committed: bool) -> None:
        self._database = database
        self._times = times
        self._is_committed = is_committed

    @asynccontextmanager
    async def statement(self) -> Any:
        self._times -= 1
        if self._times >= 0 and not self._is_committed:
            raise DatabaseUnavailable
        async with self._database.statement() as connection:
            yield connection
        if self._times >= 0:
            raise DatabaseUnavailable


@pytest.fixture
def loses_the_server() -> type[LosesTheServer]:
    return LosesTheServer


@pytest.fixture
def placing() -> Callable[..., Placing]:
    return new_placing


@pytest.fixture
async def wreck(clean: None, service_settings: Any, books: asyncpg.Connection) -> AsyncIterator[Wreck]:
    database = Database.connect(service_settings(bus.GATEWAY, GatewaySettings), service=bus.GATEWAY)
    yield Wreck(database, books)
    await database.close()


async def answers(counter: Counter) -> bool:
    """Signed-in requests are served: both servers and identity's keys are there."""
    answer = await counter.web.get("/v1/orders", headers=counter.headers())
    return answer.status_code == 200
