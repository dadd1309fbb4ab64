"""A database turns read-only under open connections, as after a failover: changes are refused, nothing is lost."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cafeteria.chassis.database import pool
from cafeteria.chassis.database.database import (
    Database,
)
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.database.statement import Statement, driver_of
from cafeteria.chassis.http.health import examine
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.messaging.outbox import Outbox, OutboxMessage, OutboxRow
from cafeteria.chassis.messaging.relay import Relay
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

WriteRow = Callable[[Database], Awaitable[None]]
DetailOf = Callable[[Awaitable[Any]], Awaitable[str | None]]
UntilDetail = Callable[..., Awaitable[None]]

READ = Statement("SELECT count(*) AS found FROM gateway.dead_letters")
PID = Statement("SELECT pg_backend_pid() AS pid")
TAKES_NO_CHANGES = "The database takes no changes just now."


@asynccontextmanager
async def read_only(servers: FixtureServers) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Make the database read-only for the block; yield a function that ends this earlier."""

    async def end() -> None:
        await admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await admin.execute("SELECT pg_reload_conf()")

    async with servers.database_as_admin() as admin:
        await admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await admin.execute("SELECT pg_reload_conf()")
        try:
            yield end
        finally:
            await end()


@pytest.fixture
def until_detail(detail_of: DetailOf) -> Callable[..., Awaitable[None]]:
    """Repeat work until it gives this detail: sessions read a new configuration one after the other."""

    async def until_detail(work: Callable[[], Awaitable[Any]], detail: str | None) -> None:
        async def is_so() -> bool:
            return await detail_of(work()) == detail

        await until(is_so)

    return until_detail


async def pid_of(database: Database) -> int:
    async with database.statement() as connection:
        [row] = await PID.rows(connection, {})
    return int(row.pid)


async def test_changes_are_unavailable_and_reads_continue_until_the_database_is_writable_again(
    four_connections: Database, servers: FixtureServers, write: WriteRow, until_detail: UntilDetail
) -> None:
    async with read_only(servers):
        await until_detail(lambda: write(four_connections), TAKES_NO_CHANGES)
        async with four_connections.statement() as connection:
            assert await READ.rows(connection, {})
    await until_detail(lambda: write(four_connections), None)


async def test_a_database_that_is_read_only_is_not_ready(
    four_connections: Database, servers: FixtureServers, until_detail: UntilDetail
) -> None:
    async with read_only(servers):
        await until_detail(four_connections.ping, TAKES_NO_CHANGES)
        health = await examine({"postgres": four_connections.ping})
        assert health.dependencies == {"postgres": f"unavailable: {TAKES_NO_CHANGES}"}
    await until_detail(four_connections.ping, None)


@pytest.mark.usefixtures("no_connection_is_fresh")
@pytest.mark.parametrize("noticed_by", ["change", "readiness"])
async def test_connections_from_before_the_database_turned_read_only_are_not_used_again(
    four_connections: Database,
    servers: FixtureServers,
    write: WriteRow,
    until_detail: UntilDetail,
    noticed_by: str,
) -> None:
    """After a failover another server behind the same address may be the writable one."""
    async with (
        four_connections.statement() as one,
        four_connections.statement() as two,
        four_connections.statement() as three,
        four_connections.statement() as four,
    ):
        before = {driver_of(each).get_server_pid() for each in (one, two, three, four)}
    notice = four_connections.ping if noticed_by == "readiness" else lambda: write(four_connections)
    async with read_only(servers):
        await until_detail(notice, TAKES_NO_CHANGES)
        assert await pid_of(four_connections) not in before


async def test_a_read_only_database_is_not_reconnected_to_for_every_change(
    four_connections: Database,
    servers: FixtureServers,
    write: WriteRow,
    until_detail: UntilDetail,
    detail_of: DetailOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every connection is fresh here, and the pool replaces none that is fresh."""
    monkeypatch.setattr(pool, "FRESH_S", 3600.0)
    async with read_only(servers):
        await until_detail(lambda: write(four_connections), TAKES_NO_CHANGES)
        pids = set()
        for _ in range(10):
            assert await detail_of(write(four_connections)) == TAKES_NO_CHANGES
            pids.add(await pid_of(four_connections))
    assert len(pids) == 1


class CountingBus(Bus):
    """Counts published rows and stores none. It has no connection: a relay only publishes."""

    def __init__(self) -> None:
        self.published = 0

    async def publish_stored(self, messages: Sequence[OutboxRow]) -> None:
        self.published += len(messages)


class RecordingRelay(Relay):
    """A relay that keeps its failures."""

    def __init__(self, *parts: Any, **facts: Any) -> None:
        super().__init__(*parts, **facts)
        self.failures: list[Exception] = []

    def _log_failure(self, error: Exception, *, unforeseen: bool = False) -> None:
        self.failures.append(error)
        super()._log_failure(error, unforeseen=unforeseen)


async def test_a_relay_that_cannot_delete_rows_does_not_publish_them(
    database: Database,
    outbox: Outbox,
    servers: FixtureServers,
    status_message: Callable[..., OutboxMessage],
    until_detail: UntilDetail,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cafeteria.chassis.messaging.relay.RETRY_S", 0.02)
    bus = CountingBus()
    async with database.transaction() as connection:
        await outbox.add(connection, [status_message()])
    async with read_only(servers) as end:
        await until_detail(database.ping, TAKES_NO_CHANGES)
        async with RecordingRelay(database, bus, outbox, service="gateway", holder="here") as relay:
            await until(lambda: len(relay.failures) >= 10)
            assert bus.published == 0
            await end()
            await until(lambda: bus.published == 1)
    assert {type(error) for error in relay.failures} == {DatabaseUnavailable}
