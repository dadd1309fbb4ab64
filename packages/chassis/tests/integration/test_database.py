"""A database that falls silent: who waits for an answer is told so in time, and nobody waits for the goodbye."""

import asyncio
from time import monotonic

import pytest

from cafeteria.chassis.database import Database, DatabaseUnavailable
from cafeteria.chassis.health import examine


async def test_who_waits_for_a_silent_database_is_told_within_the_time_given(database, servers) -> None:
    await database.ping()
    with servers.postgres.frozen():
        asked_at = monotonic()
        with pytest.raises(DatabaseUnavailable):
            await database.within(0.3).ping()
        assert monotonic() - asked_at < 1.0
    await database.ping()


async def test_the_time_given_holds_for_a_transaction_and_for_a_wait_for_a_connection(
    gateway_settings, servers
) -> None:
    database = Database.connect(gateway_settings, service="gateway", pool_size=1)
    awaited = database.within(0.3)
    with servers.postgres.frozen():
        asked_at = monotonic()
        for _ in range(2):  # the second finds no connection, and none is made
            with pytest.raises(DatabaseUnavailable):
                async with awaited.transaction() as connection:
                    await connection.exec_driver_sql("SELECT 1")
        assert monotonic() - asked_at < 1.6
    await database.ping()
    await database.close()


async def test_readiness_takes_a_second_also_when_the_database_is_silent(database, servers) -> None:
    await database.ping()
    with servers.postgres.frozen():
        asked_at = monotonic()
        health = await examine({"postgres": database.ping})
        assert monotonic() - asked_at < 1.7
    assert health.dependencies == {"postgres": "unavailable: no answer within 1 s"}


async def test_a_connection_that_was_given_up_lets_go_of_its_locks_by_itself(database, servers) -> None:
    """Its statement is cancelled at the server: it would otherwise hold what it has until it ends."""
    async with database.transaction() as holder, servers.database_as_admin() as watcher:
        await holder.exec_driver_sql("SELECT pg_advisory_xact_lock(4711)")
        with pytest.raises(DatabaseUnavailable):
            async with database.within(0.3).transaction() as waiter:
                await waiter.exec_driver_sql("SELECT pg_advisory_xact_lock(4711)")
        async with asyncio.timeout(5):
            while await watcher.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND objid = 4711"):
                pass


async def test_closing_waits_for_the_connections_that_are_on_their_way_out(gateway_settings, servers) -> None:
    database = Database.connect(gateway_settings, service="gateway")
    await database.ping()
    with servers.postgres.frozen(), pytest.raises(DatabaseUnavailable):
        await database.within(0.1).ping()
    await database.close()
    leaving = [task for task in asyncio.all_tasks() if "_leave" in repr(task)]
    assert not leaving
