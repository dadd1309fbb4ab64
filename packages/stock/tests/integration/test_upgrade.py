"""A database of version 0.1 comes up to today with its items."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import make_url

from cafeteria.chassis.database.migrations import migrate
from cafeteria.testkit.servers import FixtureServers

DATABASE = "stock_of_0_1"


@pytest.fixture
async def old_database(servers: FixtureServers) -> AsyncIterator[str]:
    """The administrator's URL of a database with version 0.1's schema."""
    async with servers.database_as_admin() as admin:
        await admin.execute(f"CREATE DATABASE {DATABASE}")
        address = (
            make_url(servers.postgres_admin_url).set(database=DATABASE).render_as_string(hide_password=False)
        )
        connection = await asyncpg.connect(address)
        await connection.execute("CREATE SCHEMA stock AUTHORIZATION cafeteria_owner")
        await connection.close()
        await migrate("stock", address, revision="0002")
        yield address
        await admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


async def test_items_of_the_first_version_stay(old_database: str) -> None:
    connection = await asyncpg.connect(old_database)
    await connection.execute(
        "INSERT INTO stock.items (id, name, price, created_at) VALUES (uuidv7(), E'Beef\\u200bhaleem', 120.5, now())"
    )

    await migrate("stock", old_database)

    assert await connection.fetchval("SELECT name FROM stock.items") == "Beef\u200bhaleem"
    rights = [
        right
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE")
        if await connection.fetchval("SELECT has_table_privilege('stock', 'stock.operations', $1)", right)
    ]
    assert rights == ["SELECT", "INSERT", "DELETE"]
    await connection.close()
