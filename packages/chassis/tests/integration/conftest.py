"""The chassis against real servers, as the gateway's user and role: it owns an outbox, dead letters and a durable."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from cafeteria.chassis import connections
from cafeteria.chassis.bus import Bus
from cafeteria.chassis.database import Database, DatabaseUnavailable, schema_base
from cafeteria.chassis.dead_letters import DeadLetters, dead_letters_table
from cafeteria.chassis.ids import new_id
from cafeteria.chassis.outbox import Outbox, OutboxMessage, OutboxRow, outbox_message, outbox_table
from cafeteria.chassis.settings import ServiceSettings
from cafeteria.chassis.statements import Statement
from cafeteria.contracts import bus as names
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.values import OrderStatus
from cafeteria.local_stack.testing import outbox_row

GATEWAY_SCHEMA = schema_base(names.GATEWAY)
_ADD = Statement(
    """INSERT INTO gateway.dead_letters (id, stream, sequence, stored_at, subject, body, error)
       SELECT :id, 's', 1, clock_timestamp(), 'x', '', ''"""
)


@pytest.fixture
async def gateway_settings(clean: None, service_settings: Callable[..., Any]) -> ServiceSettings:
    return service_settings(names.GATEWAY, ServiceSettings)


@pytest.fixture
async def database(gateway_settings: ServiceSettings) -> AsyncIterator[Database]:
    database = Database.connect(gateway_settings, service=names.GATEWAY)
    yield database
    await database.close()


@pytest.fixture
async def bus(gateway_settings: ServiceSettings) -> AsyncIterator[Bus]:
    async with Bus(gateway_settings, service=names.GATEWAY) as bus:
        await bus.connected()
        yield bus


@pytest.fixture
async def kitchen_bus(service_settings: Callable[..., Any], clean: None) -> AsyncIterator[Bus]:
    settings = service_settings(names.KITCHEN, ServiceSettings)
    async with Bus(settings, service=names.KITCHEN) as bus:
        await bus.connected()
        yield bus


@pytest.fixture(scope="session")
def outbox() -> Outbox:
    return Outbox(outbox_table(GATEWAY_SCHEMA))


@pytest.fixture
def dead_letters(database: Database) -> DeadLetters:
    table = GATEWAY_SCHEMA.metadata.tables.get("gateway.dead_letters")
    return DeadLetters(database, dead_letters_table(GATEWAY_SCHEMA) if table is None else table)


@pytest.fixture
def status_message() -> Callable[..., OutboxMessage]:
    """A status event of an order of its own, from the gateway or the kitchen."""

    def make(topic: Any = names.GATEWAY_STATUS) -> OutboxMessage:
        order_id = new_id()
        event = OrderStatusChanged(
            order_id=order_id,
            student_id="210041101",
            status=OrderStatus.READY,
            version=4,
            at=datetime.now(UTC),
        )
        return outbox_message(topic, event, order_id=order_id, version=4)

    return make


@pytest.fixture
def stored_status(status_message: Callable[..., OutboxMessage]) -> Callable[..., OutboxRow]:
    """As the relay reads it."""
    return lambda topic=names.GATEWAY_STATUS: outbox_row(status_message(topic))


async def add(database: Database) -> None:
    """A change of one row, in a transaction of its own."""
    async with database.statement() as connection:
        await _ADD.rows(connection, {"id": uuid4()})


async def add_in_transaction(database: Database) -> None:
    async with database.transaction() as connection:
        await _ADD.rows(connection, {"id": uuid4()})


async def add_by_sqlalchemy(database: Database) -> None:
    columns = ("id", "stream", "sequence", "stored_at", "subject", "body", "error")
    table = sa.table("dead_letters", *map(sa.column, columns), schema="gateway")
    row = {"id": uuid4(), "stream": "s", "sequence": 1, "subject": "x", "body": b"", "error": ""}
    async with database.transaction() as connection:
        await connection.execute(sa.insert(table).values(**row, stored_at=sa.func.clock_timestamp()))


@pytest.fixture(params=[add, add_in_transaction, add_by_sqlalchemy])
def write(request: pytest.FixtureRequest) -> Callable[[Database], Awaitable[None]]:
    """Each way in which a service changes something."""
    return request.param


@pytest.fixture
async def four_connections(gateway_settings: ServiceSettings) -> AsyncIterator[Database]:
    """All of them opened."""
    database = Database.connect(gateway_settings, service=names.GATEWAY, pool_size=4)
    async with database.statement(), database.statement(), database.statement(), database.statement():
        pass
    yield database
    await database.close()


@pytest.fixture
def always_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is too young to be given up: tests are quicker than outages."""
    monkeypatch.setattr(connections, "YOUNG_S", 0)


@pytest.fixture(scope="session")
def detail_of() -> Callable[[Awaitable[Any]], Awaitable[str | None]]:
    """What the database's unavailability is called; None when the work is done."""

    async def detail_of(work: Awaitable[Any]) -> str | None:
        try:
            await work
        except DatabaseUnavailable as error:
            return error.detail
        return None

    return detail_of
