"""Runs each operation of a scenario on the model's tables and on the repositories, and compares results and rows.

Both sides read one clock, which moves only when a scenario says so. In Postgres a schema before `pg_catalog` in the
search path replaces `now()` and its like, so that all times are compared exactly.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.statement import driver_of
from cafeteria.chassis.messaging.errors import NoAnswer
from cafeteria.chassis.messaging.leased_outbox import LeasedOutbox
from cafeteria.chassis.messaging.outbox import Outbox
from cafeteria.chassis.messaging.reconciliation import Reconciliation
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.orders import CheckDelivery, DeliveryStatus
from cafeteria.protocol_model.guards import ALL_GUARDS, NO_FAULTS
from cafeteria.protocol_model.outbox import Outbox as ModelOutbox
from cafeteria.protocol_model.scheduler import LOST, Commit, Scheduler
from cafeteria.testkit.servers import FixtureServers

Operation = Callable[[], Awaitable[Any]]

_CLOCK = """
CREATE SCHEMA stopped_clock;
CREATE TABLE stopped_clock.clock (at timestamptz NOT NULL);
CREATE FUNCTION stopped_clock.now() RETURNS timestamptz STABLE LANGUAGE sql
    AS 'SELECT at FROM stopped_clock.clock';
CREATE FUNCTION stopped_clock.clock_timestamp() RETURNS timestamptz STABLE LANGUAGE sql
    AS 'SELECT at FROM stopped_clock.clock';
CREATE FUNCTION stopped_clock.uuidv7() RETURNS uuid VOLATILE LANGUAGE sql
    AS 'SELECT pg_catalog.uuidv7((SELECT at FROM stopped_clock.clock) - pg_catalog.clock_timestamp())';
GRANT USAGE ON SCHEMA stopped_clock TO PUBLIC;
GRANT SELECT ON stopped_clock.clock TO PUBLIC;
"""
_USE_CLOCK = 'SET search_path = stopped_clock, pg_catalog, "$user"'


def id_of(name: str) -> UUID:
    """Return the id of the order or item that a scenario calls `name`."""
    return UUID(bytes=name.encode().ljust(16, b"\0"))


def name_of(id_: UUID) -> str:
    return id_.bytes.rstrip(b"\0").decode()


class ClockedDatabase(Database):
    """A service's database, logged in as its role, in which the server's clock is the scenario's."""

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        async with super().statement() as connection:
            await driver_of(connection).execute(_USE_CLOCK)
            yield connection


class Messages:
    """A service's outbox, and the reconciliation that fills it again."""

    def __init__(self, database: Any, outbox: sa.Table, reconcile_delivery: Any) -> None:
        """`reconcile_delivery` is the module of the service's repository."""
        self._database = database
        self._outbox = Outbox(outbox)
        self._leased = LeasedOutbox(self._outbox, holder="model")
        self._sql = reconcile_delivery

    async def rows(self) -> list[tuple[str, bytes]]:
        async with self._database.statement() as connection:
            reading = await self._leased.read(connection, limit=1000)
        return sorted((row.subject, row.body) for row in reading.rows)

    async def publish(self) -> None:
        """Delete the rows, as the relay does once they are acknowledged."""
        async with self._database.statement() as connection:
            reading = await self._leased.read(connection, limit=1000)
            await self._leased.delete(connection, [row.id for row in reading.rows])

    async def reconcile(self, receivers: "Receivers") -> None:
        await Reconciliation(
            self._database,
            self._outbox,
            {name: receivers.of(name) for name in receivers.names},
            self._sql,
            on_resent=lambda: None,
        ).run()


class BothSides:
    """Runs an operation on the model, then on the repositories. Results and all rows must be equal after each."""

    def __init__(self, model: Any, repositories: Any) -> None:
        self._model = model
        self._repositories = repositories

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        async def run(*arguments: Any, **options: Any) -> Any:
            expected = await getattr(self._model, operation)(*arguments, **options)
            result = await getattr(self._repositories, operation)(*arguments, **options)
            assert result == expected, f"{operation} returns what the model does not"
            assert await self._repositories.rows() == await self._model.rows(), (
                f"rows differ after {operation}"
            )
            return result

        return run


class Receivers:
    """Answers the delivery checks of one run of reconciliation. `asked` collects them by the receiver's name.

    `missing` are the orders that each receiver lacks; None where it does not answer. `meanwhile` is committed after the
    records were read, and before the findings are stored.
    """

    def __init__(self, missing: Mapping[str, Sequence[str] | None], meanwhile: Operation | None) -> None:
        self._missing = missing
        self._meanwhile = meanwhile
        self.names = tuple(missing)
        self.asked: dict[str, list[tuple[str, int]]] = {}

    async def _note(self, receiver: str, versions: list[tuple[UUID, int]]) -> Sequence[str] | None:
        if self._meanwhile is not None:
            meanwhile, self._meanwhile = self._meanwhile, None
            await meanwhile()
        self.asked[receiver] = sorted((name_of(key), version) for key, version in versions)
        return self._missing[receiver]

    def of(self, receiver: str) -> Callable[[Any], Any]:
        """Return the receiver as `chassis.messaging.reconciliation` asks it."""

        async def ask(versions: Any) -> frozenset[UUID]:
            missing = await self._note(receiver, list(versions))
            if missing is None:
                raise NoAnswer(receiver)
            return frozenset(map(id_of, missing))

        return ask

    async def drive(self, steps: Generator[Any, Any, Any]) -> None:
        """Run the model's reconciliation: each commit happens, and each request is answered."""
        outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration:
                return
            if isinstance(step, Commit):
                outcome = step.do(*step.arguments)
            else:
                outcome = await self._reply(step.peers[0], step.question)

    async def _reply(self, receiver: Any, question: CheckDelivery) -> Any:
        missing = await self._note(receiver, [(each.order_id, each.version) for each in question.items])
        if missing is None:
            return LOST
        ids = set(map(id_of, missing))
        return DeliveryStatus(missing=tuple(each for each in question.items if each.order_id in ids))


def waiting_in(outbox: ModelOutbox) -> list[tuple[str, bytes]]:
    """Return the rows of a model's outbox like those of `Messages`."""
    return sorted((row.topic.subject, msgspec.json.encode(row.body)) for row in outbox.rows.values())


class Environment:
    """What both sides of a scenario share: the clock, names, and databases in which the time is the clock's."""

    id_of = staticmethod(id_of)
    name_of = staticmethod(name_of)
    waiting_in = staticmethod(waiting_in)
    both = BothSides
    messages = Messages
    receivers = Receivers

    def __init__(self, admin: asyncpg.Connection, service_settings: Any) -> None:
        self.scheduler = Scheduler(1, guards=ALL_GUARDS, faults=NO_FAULTS)
        self.admin = admin
        self._service_settings = service_settings
        self._databases: list[Database] = []

    def now(self) -> datetime:
        return self.scheduler.now

    async def advance(self, seconds: float) -> None:
        self.scheduler.now += timedelta(seconds=seconds)
        await self.admin.execute("UPDATE stopped_clock.clock SET at = $1", self.now())

    def connect(self, service: str) -> Database:
        settings = self._service_settings(service, ServiceSettings)
        database = ClockedDatabase.connect(settings, service=service)
        self._databases.append(database)
        return database

    async def close(self) -> None:
        for database in self._databases:
            await database.close()


@pytest.fixture
async def environment(
    clean: None, servers: FixtureServers, service_settings: Any
) -> AsyncIterator[Environment]:
    async with servers.database_as_admin() as admin:
        environment = Environment(admin, service_settings)
        await admin.execute(_CLOCK)
        await admin.execute("INSERT INTO stopped_clock.clock VALUES ($1)", environment.now())
        try:
            yield environment
        finally:
            await environment.close()
            await admin.execute("DROP SCHEMA stopped_clock CASCADE")
