"""A migrated database of version 0.1 keeps its sessions."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import make_url

from cafeteria.chassis.database.migrations import migrate
from cafeteria.testkit.servers import FixtureServers

DATABASE = "identity_of_0_1"

_OLD_ROWS = """
WITH person AS (
    INSERT INTO identity.users (id, student_id, password_hash, created_at, updated_at)
    VALUES (uuidv7(), '210041101', 'x', now(), now()) RETURNING id
), family AS (SELECT uuidv7() AS id)
INSERT INTO identity.refresh_tokens (id, family, user_id, token_hash, created_at, expires_at, used_at)
SELECT family.id, family.id, person.id, sha256('used'), now(), now() + interval '1 day', now() FROM person, family
UNION ALL
SELECT uuidv7(), family.id, person.id, sha256('live'), now(), now() + interval '1 day', NULL FROM person, family
"""


@pytest.fixture
async def old_database(servers: FixtureServers) -> AsyncIterator[str]:
    """The administrator's URL of a database with version 0.1's schema."""
    async with servers.database_as_admin() as admin:
        await admin.execute(f"CREATE DATABASE {DATABASE}")
        url = make_url(servers.postgres_admin_url).set(database=DATABASE)
        address = url.render_as_string(hide_password=False)
        connection = await asyncpg.connect(address)
        await connection.execute("CREATE SCHEMA identity AUTHORIZATION cafeteria_owner")
        await connection.close()
        await migrate("identity", address, revision="0001")
        yield address
        await admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


async def test_sessions_of_version_0_1_remain_valid(old_database: str) -> None:
    connection = await asyncpg.connect(old_database)
    await connection.execute(_OLD_ROWS)

    await migrate("identity", old_database)

    rows = await connection.fetch("SELECT used_at IS NOT NULL, successors FROM identity.refresh_tokens")
    assert sorted(map(tuple, rows)) == [(False, 0), (True, 1)]
    await connection.execute(
        "INSERT INTO identity.refresh_tokens (id, family, user_id, token_hash, created_at, expires_at)"
        " SELECT uuidv7(), family, user_id, sha256('sibling'), created_at, expires_at"
        " FROM identity.refresh_tokens LIMIT 1"
    )
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("UPDATE identity.refresh_tokens SET used_at = NULL, successors = 1")
    await connection.close()


async def test_a_session_of_version_0_1_was_last_used_at_its_last_refresh(old_database: str) -> None:
    connection = await asyncpg.connect(old_database)
    await connection.execute(_OLD_ROWS)
    await connection.execute(
        "UPDATE identity.refresh_tokens SET created_at = now() - interval '20 days' WHERE id = family"
    )

    await migrate("identity", old_database)

    rows = await connection.fetch(
        "SELECT id = family, last_used_at > now() - interval '1 day', access_expires_at, client_ip, user_agent"
        " FROM identity.refresh_tokens"
    )
    assert sorted(map(tuple, rows)) == [(False, None, None, None, None), (True, True, None, None, None)]
    await connection.close()
