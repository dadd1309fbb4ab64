"""The migrated schema equals `tables.py`, rejects impossible rows, and the kitchen's role has only the rights it needs."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from cafeteria.kitchen.tables import Base
from cafeteria.testkit.servers import FixtureServers

_INSERT = """
INSERT INTO kitchen.kitchen_orders (id, order_id, student_id, status, version, lines, status_times, received_at{columns})
VALUES ($1, $2, '210041101', '{status}', {version}, '[]', '[]', now(){values})
"""


async def insert(connection: asyncpg.Connection, status: str, version: int, **columns: str) -> None:
    statement = _INSERT.format(
        status=status,
        version=version,
        columns="".join(f", {name}" for name in columns),
        values="".join(f", {value}" for value in columns.values()),
    )
    await connection.execute(statement, uuid4(), uuid4())


async def test_the_migration_creates_exactly_the_declared_tables(servers: FixtureServers) -> None:
    url = make_url(servers.postgres_admin_url).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url)

    def differences(connection: Any) -> list[Any]:
        options = {
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == "kitchen",
            "include_object": lambda _, name, kind, *__: kind != "table" or name != "alembic_version",
            "compare_type": True,
            "compare_server_default": True,
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))

    try:
        async with engine.connect() as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await engine.dispose()


async def test_the_check_constraints_are_the_declared_ones(servers: FixtureServers) -> None:
    declared = {
        str(constraint.name)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    async with servers.database_as_admin() as connection:
        found = await connection.fetch(
            "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'kitchen'::regnamespace"
        )

    assert {row["conname"] for row in found} == declared


@pytest.mark.parametrize(
    ("status", "version", "columns", "rule"),
    [
        ("BURNT", 2, {}, "status_known"),
        ("QUEUED", 3, {"confirm_at": "now()"}, "version_of_status"),
        ("IN_KITCHEN", 3, {"confirm_at": "now()"}, "times_of_status"),
        ("QUEUED", 2, {"completed_at": "now()"}, "times_of_status"),
        ("QUEUED", 2, {"station": "1"}, "station_of_status"),
        ("CANCELLED", 3, {}, "unconfirmed_is_watched"),
        ("CANCELLED", 3, {"gateway_version": "3"}, "unconfirmed_is_watched"),
    ],
)
async def test_an_impossible_ticket_violates_a_constraint(
    clean: None, servers: FixtureServers, status: str, version: int, columns: dict[str, str], rule: str
) -> None:
    async with servers.database_as("kitchen") as connection:
        with pytest.raises(asyncpg.CheckViolationError, match=rule):
            await insert(connection, status, version, **columns)


async def test_two_tickets_cannot_have_the_same_station(clean: None, servers: FixtureServers) -> None:
    cooking = {"started_at": "now()", "due_at": "now()", "confirm_at": "now()", "station": "7"}
    async with servers.database_as("kitchen") as connection:
        await insert(connection, "IN_KITCHEN", 3, **cooking)
        with pytest.raises(asyncpg.UniqueViolationError, match="station"):
            await insert(connection, "IN_KITCHEN", 3, **cooking)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE kitchen.order_status_history SET status = 'READY'",
        "DELETE FROM kitchen.order_status_history",
        "TRUNCATE kitchen.order_status_history",
        "DROP TABLE kitchen.outbox",
        "CREATE TABLE kitchen.mine (id int)",
    ],
)
async def test_the_kitchens_role_may_not_rewrite_history_or_the_schema(
    clean: None, servers: FixtureServers, statement: str
) -> None:
    async with servers.database_as("kitchen") as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
