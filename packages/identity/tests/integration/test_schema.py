"""The schema: what the service's role may not do, and the tables that the migrations create."""

from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from cafeteria.contracts.subjects import SERVICES
from cafeteria.identity.tables import Base
from cafeteria.testkit.servers import FixtureServers


async def test_the_service_cannot_change_the_audit(servers: FixtureServers, clean: None) -> None:
    async with servers.database_as("identity") as connection:
        for statement in (
            "UPDATE identity.login_attempts SET success = true",
            "DELETE FROM identity.login_attempts",
            "TRUNCATE identity.login_attempts",
            "DROP TABLE identity.users",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_no_other_service_may_purge_the_audit(servers: FixtureServers) -> None:
    async with servers.database_as_admin() as connection:
        may = {
            role: await connection.fetchval(
                "SELECT has_function_privilege($1, 'identity.purge_login_attempts(timestamptz, integer)', 'EXECUTE')",
                role,
            )
            for role in SERVICES
        }
    assert [role for role in may if may[role]] == ["identity"]


async def test_the_migrations_create_the_declared_tables(servers: FixtureServers) -> None:
    engine = create_async_engine(make_url(servers.postgres_admin_url).set(drivername="postgresql+asyncpg"))
    try:
        async with engine.connect() as connection:
            differences = await connection.run_sync(_differences)
    finally:
        await engine.dispose()
    assert differences == []


async def test_a_password_hash_is_text(servers: FixtureServers) -> None:
    async with servers.database_as_admin() as admin:
        kind = await admin.fetchval(
            "SELECT data_type FROM information_schema.columns"
            " WHERE table_schema = 'identity' AND table_name = 'users' AND column_name = 'password_hash'"
        )
    assert kind == "text"


def _differences(connection) -> list[Any]:
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == "identity",
        "include_object": lambda _, name, kind, *__: not (kind == "table" and name == "alembic_version"),
    }
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, Base.metadata))
