"""The statements that need another hour of the day, and what the service's role may not do."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.identity import repository
from cafeteria.identity.domain import LoginLimits
from cafeteria.identity.settings import IdentitySettings
from cafeteria.identity.tables import Base, RefreshTokenRow, UserRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = LoginLimits(per_client=3, per_student=5, window=timedelta(seconds=60))
HERE, THERE = "127.0.0.1", "127.0.0.2"


@pytest.fixture
async def database(clean: None, service_settings: Any) -> AsyncIterator[Database]:
    database = Database.connect(service_settings("identity", IdentitySettings), service="identity")
    yield database
    await database.close()


async def count(database: Database, second: float, client: str | None = HERE) -> bool:
    async with database.statement() as connection:
        counted = await repository.count_attempt(
            connection,
            student_id="210041101",
            client=client,
            limits=LIMITS,
            now=NOON + timedelta(seconds=second),
        )
    return counted.is_allowed


async def test_the_minute_runs_from_the_first_attempt(database: Database) -> None:
    assert [await count(database, second) for second in (0, 1, 50, 51, 59.9)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert [await count(database, second) for second in (60, 61, 62, 63)] == [True, True, True, False]
    assert await count(database, 120)


async def test_refused_attempts_prolong_nothing(database: Database) -> None:
    for second in range(60):
        await count(database, second)
    assert await count(database, 60)


async def test_an_attempt_that_one_limit_refuses_is_not_counted_by_the_other(database: Database) -> None:
    for _ in range(10):
        await count(database, 0)
    assert [await count(database, 1, THERE) for _ in range(3)] == [True, True, False]


async def test_a_clients_window_outlives_the_students(database: Database) -> None:
    assert await count(database, 0)
    assert [await count(database, 59, THERE) for _ in range(3)] == [True] * 3
    assert not await count(database, 61, THERE)
    assert await count(database, 61, HERE)


async def test_clients_of_long_ago_are_forgotten(database: Database) -> None:
    for minute in range(5):
        await count(database, 60 * minute, f"127.0.0.{minute}")
    async with database.statement() as connection:
        clients = (
            await connection.exec_driver_sql("SELECT clients FROM identity.login_windows")
        ).scalar_one()
    assert set(clients) == {"127.0.0.4"}


async def test_clients_without_an_address_are_one(database: Database) -> None:
    assert [await count(database, 0, None) for _ in range(4)] == [True, True, True, False]


async def test_the_sweep_goes_in_batches_and_keeps_what_still_matters(database: Database) -> None:
    await insert_tokens(database, hours=range(1, 6))
    for expected in (2, 1, 0):
        async with database.statement() as connection:
            deleted = await repository.delete_expired_tokens(
                connection, now=NOON + timedelta(hours=3), limit=2
            )
        assert deleted == expected
    await count(database, 0)
    for ended, expected in ((-1, 0), (0, 1)):
        async with database.statement() as connection:
            deleted = await repository.delete_old_windows(
                connection, ended=NOON + timedelta(seconds=ended), limit=10
            )
        assert deleted == expected


async def insert_tokens(database: Database, *, hours: range) -> None:
    """Tokens that end so many hours after noon."""
    user_id = new_id()
    user = UserRow.__table__.insert().values(
        id=user_id, student_id="210041101", password_hash="x", created_at=NOON, updated_at=NOON
    )
    async with database.transaction() as connection:
        await connection.execute(user)
        for hour in hours:
            token_id = new_id()
            token = RefreshTokenRow.__table__.insert().values(
                id=token_id,
                family=token_id,
                user_id=user_id,
                token_hash=bytes([hour]) * 32,
                created_at=NOON,
                expires_at=NOON + timedelta(hours=hour),
            )
            await connection.execute(token)


async def test_the_audit_cannot_be_changed_by_the_service(servers, clean: None) -> None:
    async with servers.database_as("identity") as connection:
        for statement in (
            "UPDATE identity.login_attempts SET success = true",
            "DELETE FROM identity.login_attempts",
            "TRUNCATE identity.login_attempts",
            "DROP TABLE identity.users",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_the_migration_makes_what_the_rows_say(servers) -> None:
    engine = create_async_engine(make_url(servers.postgres_admin_url).set(drivername="postgresql+asyncpg"))
    try:
        async with engine.connect() as connection:
            differences = await connection.run_sync(_differences)
    finally:
        await engine.dispose()
    assert differences == []


def _differences(connection) -> list[Any]:
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == "identity",
        "include_object": lambda _, name, kind, *__: not (kind == "table" and name == "alembic_version"),
    }
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, Base.metadata))
