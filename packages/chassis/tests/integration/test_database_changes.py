"""A database changes under a running service: other tables, reset sessions, held locks, refused logins.

The errors say that the request is not at fault, and end once the database is as before.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.statement import Statement, driver_of
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.testkit.servers import FixtureServers

Read = Callable[[Any], Awaitable[None]]
WriteRow = Callable[[Database], Awaitable[None]]
DetailOf = Callable[[Awaitable[Any]], Awaitable[str | None]]

WAS_CHANGED = "The database was changed a moment ago."
DOES_NOT_FIT = "The database does not hold what this service needs: its tables or rights have changed."
RETRYABLE = "Others are changing the same rows of the database just now."
REFUSED = "The database does not let this service in just now."


@pytest.fixture
async def shelf(servers: FixtureServers) -> AsyncIterator[str]:
    """A table that a test changes while the service reads it."""
    async with servers.database_as_admin() as admin:
        await admin.execute("CREATE TABLE gateway.shelf (id int)")
        await admin.execute("INSERT INTO gateway.shelf VALUES (1)")
        await admin.execute("GRANT SELECT ON gateway.shelf TO gateway")
        yield "gateway.shelf"
        await admin.execute("DROP TABLE gateway.shelf")


async def read_by_statement(connection: Any) -> None:
    [row] = await Statement("SELECT * FROM gateway.shelf").rows(connection, {})
    assert row.id == 1


async def read_by_sqlalchemy(connection: Any) -> None:
    found = await connection.execute(sa.text("SELECT * FROM gateway.shelf"))
    assert found.one().id == 1


async def read_on_all(database: Database, read: Read) -> None:
    async with all_connections(database) as held:
        for connection in held:
            await read(connection)


CHANGES = ("ALTER TABLE gateway.shelf ADD COLUMN note text", "ALTER TABLE gateway.shelf ALTER id TYPE bigint")


@pytest.mark.usefixtures("no_connection_is_fresh", "shelf")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("read", [read_by_statement, read_by_sqlalchemy])
async def test_outdated_plans_cost_at_most_one_transaction(
    four_connections: Database, servers: FixtureServers, change: str, read: Read, detail_of: DetailOf
) -> None:
    async def read_in_transaction() -> None:
        async with four_connections.transaction() as connection:
            await read(connection)

    await read_on_all(four_connections, read)
    async with servers.database_as_admin() as admin:
        await admin.execute(change)
    details = [await detail_of(read_in_transaction()) for _ in range(6)]
    assert details == [WAS_CHANGED] + [None] * 5


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize("change", CHANGES)
async def test_a_single_statement_with_an_outdated_plan_is_planned_again(
    four_connections: Database, servers: FixtureServers, change: str
) -> None:
    await read_on_all(four_connections, read_by_statement)
    async with servers.database_as_admin() as admin:
        await admin.execute(change)
    await read_on_all(four_connections, read_by_statement)


@pytest.mark.usefixtures("no_connection_is_fresh")
@pytest.mark.parametrize("reset", ["DISCARD ALL", "DEALLOCATE ALL"])
async def test_reset_sessions_cost_at_most_one_statement(
    four_connections: Database, reset: str, write: WriteRow, detail_of: DetailOf
) -> None:
    async with all_connections(four_connections, after=write) as held:
        for connection in held:
            await driver_of(connection).execute(reset)
    details = [await detail_of(write(four_connections)) for _ in range(6)]
    assert details == [WAS_CHANGED] + [None] * 5


@asynccontextmanager
async def all_connections(database: Database, *, after: Any = None) -> AsyncIterator[list[AsyncConnection]]:
    """Acquire all four connections. Each is used for `after` first, if given."""
    async with AsyncExitStack() as stack:
        held: list[AsyncConnection] = []
        for _ in range(4):
            if after is not None:
                await after(database)
            held.append(await stack.enter_async_context(database.statement()))
        yield held


@asynccontextmanager
async def changed(servers: FixtureServers, change: str, undo: str) -> AsyncIterator[None]:
    async with servers.database_as_admin() as admin:
        await admin.execute(change)
        try:
            yield
        finally:
            await admin.execute(undo)


SCHEMA_AWAY = ("ALTER SCHEMA gateway RENAME TO away", "ALTER SCHEMA away RENAME TO gateway")


@pytest.mark.parametrize(
    ("change", "undo"),
    [
        SCHEMA_AWAY,
        (
            "ALTER TABLE gateway.dead_letters RENAME TO away",
            "ALTER TABLE gateway.away RENAME TO dead_letters",
        ),
        (
            "ALTER TABLE gateway.dead_letters RENAME COLUMN error TO away",
            "ALTER TABLE gateway.dead_letters RENAME COLUMN away TO error",
        ),
        (
            "REVOKE INSERT ON gateway.dead_letters FROM gateway",
            "GRANT INSERT ON gateway.dead_letters TO gateway",
        ),
    ],
)
async def test_a_schema_mismatch_is_unavailable_and_logged_as_an_error(
    four_connections: Database,
    servers: FixtureServers,
    write: WriteRow,
    detail_of: DetailOf,
    change: str,
    undo: str,
) -> None:
    await write(four_connections)
    with capture_logs() as lines:
        async with changed(servers, change, undo):
            for _ in range(3):
                assert await detail_of(write(four_connections)) == DOES_NOT_FIT
    await write(four_connections)
    assert [(line["event"], line["log_level"]) for line in lines] == [("database_unusable", "error")]


async def test_a_service_without_its_schema_is_not_ready(
    four_connections: Database, servers: FixtureServers, detail_of: DetailOf
) -> None:
    async with changed(servers, *SCHEMA_AWAY):
        assert await detail_of(four_connections.ping()) == DOES_NOT_FIT
    await four_connections.ping()


async def test_one_of_two_deadlocked_transactions_is_retryable_and_keeps_its_connection(
    four_connections: Database, detail_of: DetailOf
) -> None:
    both_locked = asyncio.Barrier(2)

    async def lock(first: str, second: str) -> None:
        async with four_connections.transaction() as connection:
            await Statement(f"LOCK TABLE gateway.{first}").rows(connection, {})
            await both_locked.wait()
            await Statement(f"LOCK TABLE gateway.{second}").rows(connection, {})

    one, other = "outbox", "idempotency_keys"
    details = await asyncio.gather(detail_of(lock(one, other)), detail_of(lock(other, one)))
    assert sorted(details, key=str) == [None, RETRYABLE]
    await asyncio.gather(*(four_connections.ping() for _ in range(4)))


async def test_a_lock_timeout_of_the_administrator_is_retryable(
    four_connections: Database, servers: FixtureServers, write: WriteRow, detail_of: DetailOf
) -> None:
    async with servers.database_as_admin() as holder, holder.transaction():
        await holder.execute("LOCK TABLE gateway.dead_letters IN ACCESS EXCLUSIVE MODE")
        async with changed(
            servers, "ALTER ROLE gateway SET lock_timeout = '50ms'", "ALTER ROLE gateway RESET lock_timeout"
        ):
            database = four_connections
            await invalidate_all(database)
            assert await detail_of(write(database)) == RETRYABLE


async def invalidate_all(database: Database) -> None:
    async with all_connections(database) as held:
        for connection in held:
            await connection.invalidate()


async def test_a_wrong_password_is_refused_and_logged_once_until_it_is_right_again(
    four_connections: Database, servers: FixtureServers, write: WriteRow, detail_of: DetailOf
) -> None:
    password = servers.credentials.postgres_password("gateway")
    with capture_logs() as lines:
        async with changed(
            servers,
            "ALTER ROLE gateway PASSWORD 'another'",
            f"ALTER ROLE gateway PASSWORD '{password}'",
        ):
            await write(four_connections)  # open sessions stay open
            await invalidate_all(four_connections)
            assert [await detail_of(write(four_connections)) for _ in range(3)] == [REFUSED] * 3
    await write(four_connections)
    assert [line["sqlstate"] for line in lines] == ["28P01"]


async def test_sessions_that_the_server_ends_for_being_idle_are_not_used_again(
    gateway_settings: ServiceSettings, write: WriteRow
) -> None:
    """With one session only: on a slow machine the server would end a second one too."""
    database, ended = Database.connect(gateway_settings, service="gateway", pool_size=1), asyncio.Event()
    async with database.statement() as connection:
        driver = driver_of(connection)
        driver.add_termination_listener(lambda _: ended.set())
        await driver.execute("SET idle_session_timeout = '50ms'")
    async with asyncio.timeout(5):
        await ended.wait()
    await write(database)
    await database.close()
