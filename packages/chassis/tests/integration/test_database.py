"""Transactions, lost connections and a silent database: callers get their result or an error in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import msgspec
import pytest
import sqlalchemy as sa

from cafeteria.chassis.database import database as database_module
from cafeteria.chassis.database import pool
from cafeteria.chassis.database.database import (
    Database,
)
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.database.statement import Statement, driver_of
from cafeteria.chassis.http.health import examine
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

SOON_S = 10.0
"""More than a slow machine adds to a time limit of these tests, and far less than the limits of `long_limits`."""


@pytest.fixture
def long_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise all other limits to a minute: only the limit under test can end the wait for a silent server."""
    for module, limit in (
        (database_module, "CONNECT_TIMEOUT_S"),
        (database_module, "STATEMENT_TIMEOUT_S"),
        (pool, "POOL_WAIT_S"),
        (pool, "CLOSE_TIMEOUT_S"),
    ):
        monkeypatch.setattr(module, limit, 60.0)


@pytest.mark.usefixtures("long_limits")
async def test_a_caller_of_a_silent_database_gets_an_error_within_its_time_limit(
    gateway_settings: ServiceSettings, servers: FixtureServers
) -> None:
    database = Database.connect(gateway_settings, service="gateway")
    await database.ping()
    with servers.postgres.frozen():
        started_at = monotonic()
        with pytest.raises(DatabaseUnavailable):
            await database.within(0.3).ping()
        assert monotonic() - started_at < SOON_S
    await database.ping()
    await database.close()


@pytest.mark.usefixtures("long_limits")
async def test_the_time_limit_covers_a_transaction_and_the_wait_for_a_connection(
    gateway_settings: ServiceSettings, servers: FixtureServers
) -> None:
    database = Database.connect(gateway_settings, service="gateway", pool_size=1)
    limited = database.within(0.3)
    with servers.postgres.frozen():
        started_at = monotonic()
        for _ in range(2):  # the second finds no free connection, and cannot open one
            with pytest.raises(DatabaseUnavailable):
                async with limited.transaction() as connection:
                    await connection.exec_driver_sql("SELECT 1")
        assert monotonic() - started_at < SOON_S
    await database.ping()
    await database.close()


@pytest.mark.usefixtures("long_limits")
async def test_readiness_takes_a_second_also_when_the_database_is_silent(
    gateway_settings: ServiceSettings, servers: FixtureServers
) -> None:
    database = Database.connect(gateway_settings, service="gateway")
    await database.ping()
    with servers.postgres.frozen():
        started_at = monotonic()
        health = await examine({"postgres": database.ping})
        assert monotonic() - started_at < SOON_S
    assert health.dependencies == {"postgres": "unavailable: no answer within 1 s"}
    await database.close()


WAITERS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'gateway.outbox'::regclass"


async def test_an_abandoned_connection_releases_its_locks(
    database: Database, servers: FixtureServers
) -> None:
    """The server cancels its statement, which would otherwise hold its locks until it ends."""

    async def wait_in_vain() -> None:
        async with database.within(2.0).transaction() as waiter:
            await waiter.exec_driver_sql("LOCK TABLE gateway.outbox")

    async with database.statement(), database.statement():
        pass  # opens both connections, so that the waiter need not connect
    async with database.transaction() as holder, servers.database_as_admin() as watcher:

        async def is_waiting() -> bool:
            return bool(await watcher.fetchval(WAITERS))

        await holder.exec_driver_sql("LOCK TABLE gateway.outbox")
        waiting = asyncio.create_task(wait_in_vain())
        await until(is_waiting)
        with pytest.raises(DatabaseUnavailable):
            await waiting

        async def has_ended() -> bool:
            return not await is_waiting()

        await until(has_ended)


async def test_closing_waits_for_connections_that_are_being_closed(
    gateway_settings: ServiceSettings, servers: FixtureServers
) -> None:
    database = Database.connect(gateway_settings, service="gateway")
    async with database.statement() as connection:
        driver = driver_of(connection)
    closed = asyncio.Event()
    driver.add_termination_listener(lambda _: closed.set())
    with servers.postgres.frozen(), pytest.raises(DatabaseUnavailable):
        await database.within(0.1).ping()
    assert not closed.is_set()
    await database.close()
    assert closed.is_set()


async def test_closing_does_not_wait_for_a_silent_server(
    gateway_settings: ServiceSettings, servers: FixtureServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All connections close concurrently, within CLOSE_TIMEOUT_S."""
    monkeypatch.setattr(database_module, "STATEMENT_TIMEOUT_S", 60.0)
    database = Database.connect(gateway_settings, service="gateway")
    async with database.statement(), database.statement():
        pass
    with servers.postgres.frozen():
        async with asyncio.timeout(SOON_S):
            await database.close()


ADD = Statement(
    """INSERT INTO gateway.dead_letters (id, stream, sequence, stored_at, item, subject, body, body_digest, error)
       SELECT id, 's', 1, clock_timestamp(), 0, 'x', '', uuid_send(id), :error
       FROM (SELECT CAST(:id AS uuid) AS id) AS new"""
)
COUNT = Statement("SELECT count(*) AS found FROM gateway.dead_letters WHERE error = :error")


@pytest.fixture
async def one_connection(
    gateway_settings: ServiceSettings, servers: FixtureServers
) -> AsyncIterator[Database]:
    database = Database.connect(gateway_settings, service="gateway", pool_size=1)
    yield database
    await database.close()


async def added(database: Database, error: str) -> int:
    async with database.statement() as connection:
        [counted] = await COUNT.rows(connection, {"error": error})
    return int(counted.found)


async def test_handwritten_and_sqlalchemy_statements_share_one_transaction(one_connection: Database) -> None:
    error = str(uuid4())
    table = sa.table("dead_letters", sa.column("error"), schema="gateway")
    async with one_connection.transaction() as connection:
        await ADD.rows(connection, {"id": uuid4(), "error": error})
        await ADD.rows(connection, {"id": uuid4(), "error": error})
        counted = sa.select(sa.func.count()).select_from(table).where(table.c.error == error)
        assert (await connection.execute(counted)).scalar_one() == 2
        await ADD.rows(connection, {"id": uuid4(), "error": error})
    assert await added(one_connection, error) == 3


@pytest.mark.parametrize("surprise", [ValueError, asyncio.CancelledError])
async def test_an_error_in_a_transaction_rolls_it_back(
    one_connection: Database, surprise: type[BaseException]
) -> None:
    error = str(uuid4())

    async def fail_in_the_middle() -> None:
        async with one_connection.transaction() as connection:
            await ADD.rows(connection, {"id": uuid4(), "error": error})
            raise surprise

    with pytest.raises(surprise):
        await fail_in_the_middle()
    assert await added(one_connection, error) == 0


async def test_a_refused_statement_leaves_the_connection_usable(one_connection: Database) -> None:
    error, row_id = str(uuid4()), uuid4()

    async def add_twice() -> None:
        async with one_connection.transaction() as connection:
            await ADD.rows(connection, {"id": row_id, "error": error})
            await ADD.rows(connection, {"id": row_id, "error": error})

    with pytest.raises(asyncpg.UniqueViolationError):
        await add_twice()
    async with one_connection.statement() as connection:
        used = driver_of(connection)
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            await Statement("SELECT CAST(CAST(:word AS text) AS int)").rows(connection, {"word": "three"})
        with pytest.raises(asyncpg.DataError, match="out of int16 range"):
            await Statement("SELECT CAST(:number AS smallint)").rows(connection, {"number": 70_000})
    async with one_connection.statement() as connection:
        assert driver_of(connection) is used
    assert await added(one_connection, error) == 0


async def test_a_connection_that_the_server_closed_is_not_acquired(
    one_connection: Database, servers: FixtureServers
) -> None:
    async with one_connection.statement() as connection:
        driver = driver_of(connection)
    closed = asyncio.Event()
    driver.add_termination_listener(lambda _: closed.set())
    async with servers.database_as_admin() as admin:
        await admin.execute("SELECT pg_terminate_backend($1)", driver.get_server_pid())
    async with asyncio.timeout(5):
        await closed.wait()
    await one_connection.ping()


async def test_a_cancelled_statement_costs_only_its_connection(
    one_connection: Database, servers: FixtureServers
) -> None:
    async with servers.database_as_admin() as holder, holder.transaction():
        await holder.execute("LOCK TABLE gateway.outbox")

        async def wait() -> None:
            async with one_connection.statement() as connection:
                await Statement("SELECT FROM gateway.outbox").rows(connection, {})

        waiting = asyncio.create_task(wait())
        await until(lambda: holder.fetchval(WAITERS))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await one_connection.ping()


async def test_a_terminated_backend_behind_an_open_connection_is_unavailable(
    gateway_settings: ServiceSettings, servers: FixtureServers
) -> None:
    """The network may hide for a while that a backend has closed its connection.

    A query that is sent in that time gets no answer; its caller waits for its time limit and no longer.
    """
    address = urlsplit(gateway_settings.postgres_url)
    async with holding_open(address.hostname, address.port) as port:
        url = address._replace(netloc=f"127.0.0.1:{port}").geturl()
        settings = msgspec.structs.replace(gateway_settings, postgres_url=url)
        database = Database.connect(settings, service="gateway", pool_size=1)
        async with database.statement() as connection:
            driver = driver_of(connection)
        async with servers.database_as_admin() as admin:
            await admin.execute("SELECT pg_terminate_backend($1)", driver.get_server_pid())
        async with asyncio.timeout(5):
            while await used_for_a_ping(database.within(1)) is driver:
                pass
        await database.close()


async def used_for_a_ping(database: Database) -> Any:
    driver = None
    with suppress(DatabaseUnavailable):
        async with database.statement() as connection:
            driver = driver_of(connection)
            await Statement("SELECT 1").rows(connection, {})
    return driver


@asynccontextmanager
async def holding_open(host: str | None, port: int | None) -> AsyncIterator[int]:
    """Forward a port to the server, all but the end of its connections; yield the port."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        to_client = asyncio.create_task(forward(there, writer))
        await forward(reader, back)
        to_client.cancel()
        back.close()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
