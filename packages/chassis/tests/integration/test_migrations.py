"""Migrations run as the schema's owner in one transaction, and end with exactly the declared rights of the service's role."""

import asyncio
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from cafeteria.chassis.database.migrations import GrantsMissingError, MigrationsMissingError, migrate
from cafeteria.contracts.subjects import SERVICES
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

FIRST = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None

def upgrade() -> None:
    for name in ("trays", "ledger"):
        op.create_table(name, sa.Column("id", sa.Integer, sa.Identity(), primary_key=True), schema="bakery")
"""

SECOND = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"

def upgrade() -> None:
    op.create_table("ovens", sa.Column("id", sa.Integer, primary_key=True), schema="bakery")
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


RIGHTS = "GRANT SELECT, INSERT, DELETE ON trays TO bakery; GRANT SELECT, INSERT ON ledger TO bakery;"


class Bakery:
    """A sixth service, which only these tests have."""

    def __init__(self, admin_url: str, versions: Path) -> None:
        self.admin_url = admin_url
        self._versions = versions

    def add_revisions(self, **revisions: str) -> None:
        for name, source in revisions.items():
            (self._versions / f"{name}.py").write_text(textwrap.dedent(source))

    def set_rights(self, grants: str) -> None:
        (self._versions.parent / "grants.sql").write_text(grants)

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

    async def query(self, *statements: str) -> list[asyncpg.Record]:
        """Run the statements on one connection; return the rows of the last."""
        connection = await asyncpg.connect(self.admin_url)
        try:
            return [await connection.fetch(statement) for statement in statements][-1]
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
        bakery = Bakery(servers.postgres_admin_url, versions)
        bakery.set_rights(RIGHTS)
        yield bakery
        await admin.execute("DROP SCHEMA bakery CASCADE; DROP ROLE bakery")


async def test_tables_belong_to_the_owner_and_the_service_may_use_them(bakery: Bakery) -> None:
    bakery.add_revisions(first=FIRST)
    await bakery.migrate()
    assert await bakery.tables() == dict.fromkeys(("trays", "ledger", "alembic_version"), "cafeteria_owner")
    assert await bakery.rights("trays") == {"SELECT", "INSERT", "DELETE"}
    assert await bakery.rights("ledger") == {"SELECT", "INSERT"}
    assert await bakery.rights("alembic_version") == set()


async def test_a_second_run_changes_nothing(bakery: Bakery) -> None:
    bakery.add_revisions(first=FIRST)
    await bakery.migrate()
    await bakery.migrate()
    assert await bakery.rights("trays") == {"SELECT", "INSERT", "DELETE"}


async def test_a_new_table_has_the_rights_that_are_declared_for_it(bakery: Bakery) -> None:
    bakery.add_revisions(first=FIRST)
    await bakery.migrate()
    bakery.add_revisions(second=SECOND)
    await bakery.migrate()
    assert await bakery.rights("ovens") == set()
    bakery.set_rights(f"{RIGHTS} GRANT SELECT, UPDATE (id) ON ovens TO bakery;")
    await bakery.migrate()
    assert await bakery.rights("ovens") == {"SELECT"}
    assert await bakery.rights("ledger") == {"SELECT", "INSERT"}


async def test_a_right_that_is_not_declared_is_revoked(bakery: Bakery) -> None:
    bakery.add_revisions(first=FIRST)
    await bakery.migrate()
    await bakery.query("GRANT ALL ON bakery.ledger TO bakery")
    await bakery.query("GRANT UPDATE (id) ON bakery.ledger TO PUBLIC")
    await bakery.migrate()
    assert await bakery.rights("ledger") == {"SELECT", "INSERT"}
    [changes] = await bakery.query("SELECT has_column_privilege('bakery', 'bakery.ledger', 'id', 'UPDATE')")
    assert not changes[0]


async def test_a_function_is_nobodys_until_it_is_declared(bakery: Bakery) -> None:
    async def may_call() -> bool:
        [found] = await bakery.query(
            "SELECT has_function_privilege('bakery', 'bakery.purge(int)', 'EXECUTE')"
        )
        return bool(found[0])

    bakery.add_revisions(first=FIRST)
    await bakery.query(
        "SET ROLE cafeteria_owner",
        "CREATE FUNCTION bakery.purge(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    )
    assert await may_call(), "Postgres gives a new function to PUBLIC"
    await bakery.migrate()
    assert not await may_call()
    bakery.set_rights(f"{RIGHTS} GRANT EXECUTE ON FUNCTION purge TO bakery;")
    await bakery.migrate()
    assert await may_call()


async def test_an_object_of_somebody_else_does_not_stop_a_migration(bakery: Bakery) -> None:
    await bakery.query(
        "CREATE VIEW bakery.report AS SELECT 1 AS one", "GRANT SELECT ON bakery.report TO bakery"
    )
    bakery.add_revisions(first=FIRST)
    await bakery.migrate()
    assert await bakery.rights("report") == {"SELECT"}


async def test_an_earlier_revision_gets_no_rights_and_a_wrong_declaration_changes_nothing(
    bakery: Bakery,
) -> None:
    bakery.add_revisions(first=FIRST, second=SECOND)
    await migrate("bakery", bakery.admin_url, revision="0001")
    assert await bakery.rights("trays") == set()
    bakery.set_rights("GRANT SELECT ON spoons TO bakery;")
    with pytest.raises(asyncpg.UndefinedTableError, match="spoons"):
        await bakery.migrate()
    assert "ovens" not in await bakery.tables()


async def test_a_service_without_declared_rights_is_named(bakery: Bakery, tmp_path: Path) -> None:
    bakery.add_revisions(first=FIRST)
    (tmp_path / "cafeteria/bakery/migrations/grants.sql").unlink()
    with pytest.raises(GrantsMissingError, match="bakery"):
        await bakery.migrate()


async def test_two_migrations_at_once_run_one_after_the_other(bakery: Bakery) -> None:
    """Alembic keeps the running migration in a module, so the other one is another process."""
    bakery.add_revisions(first=FIRST)
    async with asyncio.timeout(30):
        other = await asyncpg.connect(bakery.admin_url)
        async with other.transaction():
            await other.execute("COMMENT ON SCHEMA bakery IS 'another migration'")
            waiting = asyncio.create_task(bakery.migrate())
            await until(lambda: waits_for_lock(bakery))
            assert await bakery.tables() == {}
        await waiting
        await other.close()
    assert "trays" in await bakery.tables()


async def waits_for_lock(bakery: Bakery) -> bool:
    return bool(
        await bakery.query("SELECT FROM pg_locks WHERE NOT granted AND classid = 'pg_namespace'::regclass")
    )


@pytest.mark.parametrize("role", SERVICES)
async def test_no_service_can_hold_up_a_migration(servers: FixtureServers, role: str) -> None:
    async with servers.database_as(role) as connection:
        for attempt in (f"COMMENT ON SCHEMA {role} IS 'mine'", f"ALTER SCHEMA {role} RENAME TO mine"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(attempt)


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
