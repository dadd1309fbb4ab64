"""The pool never exceeds its size, reuses its connections, and replaces those that are outdated or lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from cafeteria.chassis.database import pool
from cafeteria.chassis.database.database import (
    Database,
)
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.database.statement import Statement, driver_of
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.testkit.servers import FixtureServers

SIZE = 2
_PID = Statement("SELECT pg_backend_pid() AS pid")


@pytest.fixture
async def two_connections(
    gateway_settings: ServiceSettings, servers: FixtureServers
) -> AsyncIterator[Database]:
    database = Database.connect(gateway_settings, service="gateway", pool_size=SIZE)
    yield database
    await database.close()


async def pid_of_one(database: Database) -> int:
    async with database.statement() as connection:
        [row] = await _PID.rows(connection, {})
    return int(row.pid)


async def test_a_caller_waits_for_the_next_released_connection(two_connections: Database) -> None:
    acquired: set[Any] = set()

    async def use() -> int:
        async with two_connections.statement() as connection:
            assert connection not in acquired
            acquired.add(connection)
            assert len(acquired) <= SIZE
            [row] = await _PID.rows(connection, {})
            acquired.discard(connection)
        return int(row.pid)

    pids = await asyncio.gather(*(use() for _ in range(40)))
    assert len(set(pids)) == SIZE


async def test_a_caller_that_waits_too_long_gets_database_unavailable(
    two_connections: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "POOL_WAIT_S", 0.05)
    async with two_connections.statement(), two_connections.statement():
        with pytest.raises(DatabaseUnavailable):
            await two_connections.ping()
    await two_connections.ping()


async def test_the_most_recently_used_connection_is_used_next(two_connections: Database) -> None:
    async with two_connections.statement(), two_connections.statement():
        pass
    assert await pid_of_one(two_connections) == await pid_of_one(two_connections)


async def test_an_error_that_is_not_the_connections_releases_it(two_connections: Database) -> None:
    before = await pid_of_one(two_connections)
    for _ in range(SIZE + 1):
        with pytest.raises(ValueError, match="mine"):
            async with two_connections.statement():
                raise ValueError("mine")
    assert await pid_of_one(two_connections) == before


async def test_an_invalidated_connection_frees_its_slot(two_connections: Database) -> None:
    before = await pid_of_one(two_connections)
    for _ in range(SIZE + 1):
        async with two_connections.statement() as connection:
            await connection.invalidate()
    assert await pid_of_one(two_connections) != before


async def test_a_connection_past_its_lifetime_is_closed_and_another_opened(
    two_connections: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_connections.statement() as connection:
        old = driver_of(connection)
    closed = asyncio.Event()
    old.add_termination_listener(lambda _: closed.set())
    monkeypatch.setattr(pool, "CONNECTION_LIFETIME_S", 0)
    async with two_connections.statement() as connection:
        assert driver_of(connection) is not old
    async with asyncio.timeout(5):
        await closed.wait()


async def test_a_transaction_that_sqlalchemy_has_begun_ends_with_the_block(two_connections: Database) -> None:
    async with two_connections.statement() as connection:
        await connection.execute(sa.text("SELECT 1"))
        assert connection.in_transaction()
    async with two_connections.statement() as connection:
        assert not connection.in_transaction()


async def test_closing_closes_idle_connections(two_connections: Database, servers: FixtureServers) -> None:
    async with two_connections.statement() as one, two_connections.statement() as other:
        drivers = [driver_of(one), driver_of(other)]
    await two_connections.close()
    assert all(driver.is_closed() for driver in drivers)
