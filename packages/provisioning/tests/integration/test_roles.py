"""A real Postgres allows each service's role its own work and refuses everything else."""

import asyncpg
import pytest

from cafeteria.contracts import subjects
from cafeteria.provisioning.roles import ensure_roles
from cafeteria.testkit.servers import FixtureServers

LEDGERS = {
    "stock": ("stock_transactions", "restocks"),
    "kitchen": ("order_status_history",),
    "identity": ("login_attempts",),
}

TABLES = """
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname <> 'alembic_version' ORDER BY 1
"""

REFUSED = asyncpg.InsufficientPrivilegeError


async def tables_of(servers: FixtureServers, service: str) -> list[str]:
    async with servers.database_as_admin() as admin:
        return [row[0] for row in await admin.fetch(TABLES, service)]


@pytest.mark.parametrize("service", subjects.SERVICES)
async def test_a_service_can_read_its_own_tables_only(servers: FixtureServers, service: str) -> None:
    async with servers.database_as(service) as connection:
        for owner in subjects.SERVICES:
            for table in await tables_of(servers, owner):
                statement = f"SELECT FROM {owner}.{table} LIMIT 1"
                if owner == service:
                    await connection.execute(statement)
                else:
                    with pytest.raises(REFUSED):
                        await connection.execute(statement)


@pytest.mark.parametrize("service", LEDGERS)
async def test_a_service_cannot_change_or_delete_rows_of_its_ledger(
    servers: FixtureServers, service: str
) -> None:
    async with servers.database_as(service) as connection:
        for table in LEDGERS[service]:
            rights = [
                await connection.fetchval("SELECT has_table_privilege($1, $2)", f"{service}.{table}", right)
                for right in ("SELECT", "INSERT")
            ]
            assert rights == [True, True]
            for change in ("UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {}"):
                with pytest.raises(REFUSED):
                    await connection.execute(change.format(table))


@pytest.mark.parametrize("service", subjects.SERVICES)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "SET ROLE cafeteria_owner",
        "SET ROLE postgres",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "ALTER SYSTEM SET fsync = off",
        "SELECT rolpassword FROM pg_authid",
    ],
)
async def test_a_service_can_create_nothing_and_take_no_other_role(
    servers: FixtureServers, service: str, statement: str
) -> None:
    async with servers.database_as(service) as connection:
        with pytest.raises(REFUSED):
            await connection.execute(statement)


@pytest.mark.parametrize("service", subjects.SERVICES)
async def test_a_service_cannot_drop_or_alter_its_tables(servers: FixtureServers, service: str) -> None:
    async with servers.database_as(service) as connection:
        for table in await tables_of(servers, service):
            for statement in (f"DROP TABLE {table}", f"ALTER TABLE {table} ADD COLUMN more int"):
                with pytest.raises(REFUSED):
                    await connection.execute(statement)


@pytest.mark.parametrize("service", subjects.SERVICES)
async def test_a_service_finds_its_tables_without_naming_its_schema(
    servers: FixtureServers, service: str
) -> None:
    async with servers.database_as(service) as connection:
        assert await connection.fetchval("SHOW search_path") == service


@pytest.mark.parametrize("service", subjects.SERVICES)
async def test_a_wrong_or_empty_password_is_refused(servers: FixtureServers, service: str) -> None:
    for password in ("guess", ""):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(servers.postgres_url, user=service, password=password)


async def test_the_owner_role_cannot_log_in(servers: FixtureServers) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(servers.postgres_url, user="cafeteria_owner", password="guess")


async def test_every_table_belongs_to_the_owner(servers: FixtureServers) -> None:
    async with servers.database_as_admin() as admin:
        owners = await admin.fetch(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = ANY($1)", list(subjects.SERVICES)
        )
    assert [row[0] for row in owners] == ["cafeteria_owner"]


async def test_a_new_password_is_valid_after_the_next_bootstrap(servers: FixtureServers) -> None:
    async def log_in(password: str) -> None:
        await (await asyncpg.connect(servers.postgres_url, user="stock", password=password)).close()

    await ensure_roles(servers.postgres_admin_url, password_of=lambda role: f"new-{role}")
    try:
        await log_in("new-stock")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await log_in(servers.credentials.postgres_password("stock"))
    finally:
        await ensure_roles(servers.postgres_admin_url, password_of=servers.credentials.postgres_password)
    await log_in(servers.credentials.postgres_password("stock"))


async def test_the_bootstrap_revokes_an_added_right(servers: FixtureServers) -> None:
    async with servers.database_as_admin() as admin:
        await admin.execute("GRANT CREATE ON SCHEMA stock TO stock; GRANT USAGE ON SCHEMA stock TO PUBLIC")
        await admin.execute("ALTER ROLE stock CREATEDB")
    await ensure_roles(servers.postgres_admin_url, password_of=servers.credentials.postgres_password)
    async with servers.database_as("stock") as stock, servers.database_as("kitchen") as kitchen:
        for statement in ("CREATE TABLE stock.mine (id int)", "CREATE DATABASE mine"):
            with pytest.raises(REFUSED):
                await stock.execute(statement)
        with pytest.raises(REFUSED):
            await kitchen.execute("SELECT FROM stock.items")


async def test_a_commit_that_was_acknowledged_is_on_disk(servers: FixtureServers) -> None:
    async with servers.database_as("gateway") as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await connection.fetchval(f"SHOW {setting}") == "on"
        assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
