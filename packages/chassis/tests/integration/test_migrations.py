"""Migrations run as the schema's owner in one transaction, and end with the grants of the service's role."""

import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from cafeteria.chassis.database.migrations import MigrationsMissingError, migrate
from cafeteria.contracts.subjects import SERVICES
from cafeteria.testkit.servers import FixtureServers

FIRST = """
import sqlalchemy as sa
from alembic import op
from cafeteria.chassis.database.migrations import grant_tables

revision, down_revision = "0001", None

def upgrade() -> None:
    for name in ("trays", "ledger"):
        op.create_table(name, sa.Column("id", sa.Integer, sa.Identity(), primary_key=True), schema="bakery")
    grant_tables(op, schema="bakery", role="bakery", insert_only=("ledger",))
"""

SECOND = """
import sqlalchemy as sa
from alembic import op
from cafeteria.chassis.database.migrations import grant_tables

revision, down_revision = "0002", "0001"

def upgrade() -> None:
    op.create_table("ovens", sa.Column("id", sa.Integer, primary_key=True), schema="bakery")
    grant_tables(op, schema="bakery", role="bakery")
"""

BROKEN = """
from alembic import op

revision, down_revision = "0002", "0001"

def upgrade() -> None:
    op.execute("CREATE TABLE bakery.half (id int)")
    op.execute("SELECT 1 / 0")
"""

UNKNOWN_LEDGER = """
from alembic import op
from cafeteria.chassis.database.migrations import grant_tables

revision, down_revision = "0002", "0001"

def upgrade() -> None:
    grant_tables(op, schema="bakery", role="bakery", insert_only=("leger",))
"""


class Bakery:
    """A sixth service, which only these tests have."""

    def __init__(self, admin_url: str, versions: Path) -> None:
        self.admin_url = admin_url
        self._versions = versions

    def add_revisions(self, **revisions: str) -> None:
        for name, source in revisions.items():
            (self._versions / f"{name}.py").write_text(textwrap.dedent(source))

    async def migrate(self) -> None:
        await migrate("bakery", self.admin_url)

    async def tables(self) -> dict[str, str]:
        """Return the owner of each table, by its name."""
        rows = await self.query("SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'bakery'")
        return {row["tablename"]: row["tableowner"] for row in rows}

    async def rights(self, table: str) -> set[str]:
        rows = await self.query(
            "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
            " WHERE grantee = 'bakery' AND table_schema = 'bakery'"
        )
        return {row["privilege_type"] for row in rows if row["table_name"] == table}

    async def query(self, statement: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.admin_url)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()


@pytest.fixture
async def bakery(
    servers: FixtureServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bakery]:
    versions = tmp_path / "cafeteria" / "bakery" / "migrations" / "versions"
    versions.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    async with servers.database_as_admin() as admin:
        await admin.execute("CREATE ROLE bakery; CREATE SCHEMA bakery AUTHORIZATION cafeteria_owner")
        yield Bakery(servers.postgres_admin_url, versions)
        await admin.execute("DROP SCHEMA bakery CASCADE; DROP ROLE bakery")


async def test_tables_belong_to_the_owner_and_the_service_may_use_them(bakery: Bakery) -> None:
    bakery.add_revisions(first=FIRST)
    await bakery.migrate()
    assert await bakery.tables() == dict.fromkeys(("trays", "ledger", "alembic_version"), "cafeteria_owner")
    assert await bakery.rights("trays") == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert await bakery.rights("ledger") == {"SELECT", "INSERT"}
    assert await bakery.rights("alembic_version") == set()


async def test_a_second_run_changes_nothing_and_a_new_revision_only_adds_its_own(bakery: Bakery) -> None:
    bakery.add_revisions(first=FIRST)
    await bakery.migrate()
    await bakery.migrate()
    bakery.add_revisions(second=SECOND)
    await bakery.migrate()
    assert "ovens" in await bakery.tables()
    assert await bakery.rights("ovens") == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert await bakery.rights("ledger") == {"SELECT", "INSERT"}


async def test_a_failing_revision_is_rolled_back(bakery: Bakery) -> None:
    bakery.add_revisions(first=FIRST)
    await bakery.migrate()
    bakery.add_revisions(second=BROKEN)
    with pytest.raises(DBAPIError):
        await bakery.migrate()
    assert "half" not in await bakery.tables()
    assert [row[0] for row in await bakery.query("SELECT version_num FROM bakery.alembic_version")] == [
        "0001"
    ]


async def test_a_ledger_that_is_no_table_is_refused(bakery: Bakery) -> None:
    bakery.add_revisions(first=FIRST, second=UNKNOWN_LEDGER)
    with pytest.raises(ValueError, match="leger"):
        await bakery.migrate()
    assert await bakery.tables() == {}


async def test_a_service_without_revisions_is_named(bakery: Bakery) -> None:
    with pytest.raises(MigrationsMissingError, match="bakery ships no migrations"):
        await bakery.migrate()
    with pytest.raises(MigrationsMissingError, match="butchery is not installed"):
        await migrate("butchery", bakery.admin_url)


async def test_every_service_keeps_its_version_in_its_own_schema(servers: FixtureServers) -> None:
    async with servers.database_as_admin() as admin:
        schemas = await admin.fetch("SELECT schemaname FROM pg_tables WHERE tablename = 'alembic_version'")
    assert {row[0] for row in schemas} == set(SERVICES)
