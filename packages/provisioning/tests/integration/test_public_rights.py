"""What every role of a Postgres may do beside its grants: here nothing that reaches another service."""

import asyncio
import logging
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from cafeteria.contracts.subjects import SERVICES
from cafeteria.provisioning.administrator import connect
from cafeteria.provisioning.public_rights import close_to_public
from cafeteria.provisioning.roles import ensure_roles
from cafeteria.testkit.servers import FixtureServers

REFUSED = asyncpg.InsufficientPrivilegeError

FORBIDDEN = [
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_advisory_lock_shared(1, 2)",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_try_advisory_lock(1)",
    "SELECT pg_try_advisory_xact_lock_shared(1)",
    "SELECT pg_advisory_unlock(1)",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_put(1, 0, 'x')",
    "SELECT lo_open(1, 131072)",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/x')",
    "SELECT lo_unlink(1)",
    "SELECT pg_logical_emit_message(false, 'x', 'x')",
    "SELECT pg_read_binary_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_reload_conf()",
    "SELECT pg_switch_wal()",
    "SELECT pg_stat_reset()",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT * FROM pg_shadow",
    "CREATE TEMPORARY TABLE mine (id int)",
    "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FOREIGN DATA WRAPPER elsewhere",
    "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION pg_catalog.now()",
    "CREATE PUBLICATION mine",
    "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')",
    "COPY (SELECT 1) TO '/tmp/x'",
    "SET session_replication_role = replica",
    "SET log_statement = 'none'",
    "ALTER ROLE identity SUPERUSER",
    "GRANT cafeteria_owner TO CURRENT_USER",
]


@pytest.mark.parametrize("role", SERVICES)
async def test_a_role_can_reach_nothing_through_the_rights_of_everybody(
    servers: FixtureServers, role: str
) -> None:
    async with servers.database_as(role) as connection:
        for statement in FORBIDDEN:
            with pytest.raises(REFUSED):
                await connection.execute(statement)


@pytest.mark.parametrize("role", SERVICES)
async def test_no_function_for_advisory_locks_or_large_objects_is_left(
    servers: FixtureServers, role: str
) -> None:
    async with servers.database_as_admin() as admin:
        left = await admin.fetch(
            "SELECT proname FROM pg_proc WHERE has_function_privilege($1, oid, 'EXECUTE')"
            " AND proname ~ '(advisory|^lo_|^loread|^lowrite|dblink)'",
            role,
        )
        assert [row[0] for row in left] == ["pg_advisory_unlock_all"], "which the driver calls"
        assert [row[0] for row in await admin.fetch("SELECT extname FROM pg_extension")] == ["plpgsql"]


@pytest.mark.parametrize("role", SERVICES)
async def test_the_driver_can_reset_its_connection(servers: FixtureServers, role: str) -> None:
    async with servers.database_as(role) as connection:
        await connection.reset()


@pytest.mark.parametrize("role", SERVICES)
@pytest.mark.parametrize("database", ["postgres", "template1", "template0"])
async def test_a_role_can_enter_no_other_database(servers: FixtureServers, role: str, database: str) -> None:
    password = servers.credentials.postgres_password(role)
    with pytest.raises((REFUSED, asyncpg.ObjectNotInPrerequisiteStateError)):
        await connect(servers.postgres_url, user=role, password=password, database=database)


@pytest.mark.parametrize("role", SERVICES)
async def test_a_role_sees_no_statement_of_another_and_ends_no_session_of_another(
    servers: FixtureServers, role: str
) -> None:
    other = next(each for each in SERVICES if each != role)
    async with servers.database_as(role) as connection, servers.database_as(other) as busy:
        await busy.execute("SELECT 'a statement of another'")
        pid = busy.get_server_pid()
        seen = await connection.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", pid)
        assert seen == "<insufficient privilege>"
        for function in ("pg_terminate_backend", "pg_cancel_backend"):
            with pytest.raises(REFUSED):
                await connection.execute(f"SELECT {function}({pid})")


@pytest.mark.parametrize("role", SERVICES)
async def test_a_role_cannot_take_all_connections(servers: FixtureServers, role: str) -> None:
    """The limit is read, not reached: other tests use the same server."""
    async with servers.database_as(role) as connection:
        [(limit, all_of_them)] = await connection.fetch(
            "SELECT rolconnlimit, current_setting('max_connections')::int FROM pg_roles WHERE rolname = $1",
            role,
        )
        assert await connection.fetchval("SHOW statement_timeout") == "10s"
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "10s"
    assert 10 <= limit <= all_of_them * 2 // 5


async def test_a_connection_over_the_limit_is_refused_and_the_others_work(servers: FixtureServers) -> None:
    async with servers.database_as_admin() as admin:
        await admin.execute("ALTER ROLE notification CONNECTION LIMIT 0")
        try:
            with pytest.raises(asyncpg.TooManyConnectionsError):
                async with servers.database_as("notification"):
                    pass
            async with servers.database_as("stock"):
                pass
        finally:
            await ensure_roles(servers.postgres_admin_url, password_of=servers.credentials.postgres_password)
    async with servers.database_as("notification"):
        pass


@pytest.fixture
async def admin(servers: FixtureServers) -> AsyncIterator[asyncpg.Connection]:
    async with servers.database_as_admin() as admin:
        yield admin


async def test_the_next_bootstrap_closes_a_server_of_an_earlier_version(
    servers: FixtureServers, admin: asyncpg.Connection
) -> None:
    await admin.execute("GRANT CONNECT, TEMPORARY ON DATABASE postgres, template1 TO PUBLIC")
    await admin.execute("GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint), lo_create(oid) TO PUBLIC")
    await admin.execute("ALTER ROLE stock CONNECTION LIMIT -1")
    await ensure_roles(servers.postgres_admin_url, password_of=servers.credentials.postgres_password)
    for database in ("postgres", "template1"):
        assert not await admin.fetchval("SELECT has_database_privilege('stock', $1, 'CONNECT')", database)
    assert not await admin.fetchval(
        "SELECT has_function_privilege('stock', 'pg_advisory_lock(bigint)', 'EXECUTE')"
    )
    assert await admin.fetchval("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'stock'") == 40


async def test_bootstraps_at_once_wait_for_each_other(servers: FixtureServers) -> None:
    await asyncio.gather(
        *(
            ensure_roles(servers.postgres_admin_url, password_of=servers.credentials.postgres_password)
            for _ in range(4)
        )
    )


@pytest.mark.parametrize("role", SERVICES)
async def test_no_role_can_hold_up_a_bootstrap(servers: FixtureServers, role: str) -> None:
    async with servers.database_as(role) as connection:
        for attempt in ("COMMENT ON ROLE cafeteria_owner IS 'mine'", "ALTER ROLE cafeteria_owner LOGIN"):
            with pytest.raises(REFUSED):
                await connection.execute(attempt)


async def test_what_another_application_has_is_named_once_and_stays(
    servers: FixtureServers, admin: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await admin.execute("CREATE DATABASE billing")
    try:
        with caplog.at_level(logging.WARNING):
            await close_to_public(admin)
        [record] = caplog.records
        assert "CONNECT on billing" in record.getMessage()
        assert await admin.fetchval("SELECT has_database_privilege('stock', 'billing', 'CONNECT')")
    finally:
        await admin.execute("DROP DATABASE billing")


async def test_an_administrator_of_less_than_all_goes_on_with_one_warning(
    servers: FixtureServers, admin: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await admin.execute("CREATE ROLE boss LOGIN PASSWORD 'boss'")
    await admin.execute("CREATE DATABASE canteen OWNER boss")
    address = urlsplit(servers.postgres_url)
    boss = await connect(address.geturl(), user="boss", password="boss", database="canteen")
    try:
        with caplog.at_level(logging.WARNING):
            await close_to_public(boss)
        [record] = caplog.records
        assert "functions for advisory locks and large objects" in record.getMessage()
        assert "operations.md" in record.getMessage()
    finally:
        await boss.close()
        await admin.execute("DROP DATABASE canteen")
        await admin.execute("DROP ROLE boss")
