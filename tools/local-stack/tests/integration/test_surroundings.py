"""The stack works with libpq's environment, a small shared memory and an administrator with few rights."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from cafeteria.contracts.subjects import SERVICES
from cafeteria.local_stack.data_directory import DataDirectory, temporary_data_directory
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.servers import Servers
from cafeteria.local_stack.service import service_environment
from cafeteria.provisioning.administrator import connect
from cafeteria.provisioning.bootstrap import prepare_database, prepare_schemas
from cafeteria.provisioning.errors import StackError
from cafeteria.provisioning.foreign_objects import COMMENT
from cafeteria.provisioning.targets import Targets

LIBPQ = {
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nowhere/root.crt",
    "PGSSLNEGOTIATION": "whatever",
    "PGSERVICE": "other",
    "PGSERVICEFILE": "/nowhere/services",
    "PGHOST": "192.0.2.1",
    "PGPORT": "1,2",
    "PGUSER": "other",
    "PGPASSWORD": "other",
    "PGDATABASE": "other",
    "PGPASSFILE": "/nowhere/passwords",
    "PGTARGETSESSIONATTRS": "standby",
    "PGOPTIONS": "-c nothing=sensible",
    "PGGSSLIB": "whatever",
    "PGDATA": "/nowhere",
}


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[Servers]:
    """Servers before any bootstrap, started in a shell with settings for other databases."""
    with temporary_data_directory() as home, pytest.MonkeyPatch.context() as shell:
        for name, value in LIBPQ.items():
            shell.setenv(name, value)
        certificates = home.root / "person" / ".postgresql"
        certificates.mkdir(parents=True)
        for name in ("root.crt", "root.crl", "postgresql.crt", "postgresql.key"):
            (certificates / name).write_text("not a certificate")
        shell.setenv("HOME", str(certificates.parent))
        servers = Servers(home, Plan(), keep=False)
        try:
            await servers.start()
            yield servers
        finally:
            await servers.stop(grace_s=5)


@pytest.fixture
async def admin(servers: Servers) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(servers.postgres_admin_url, database="postgres")
    yield connection
    await connection.close()


def targets_of(servers: Servers, database: str, *, user: str = "") -> Targets:
    parts = urlsplit(servers.postgres_admin_url)
    netloc = f"{user}@127.0.0.1:{parts.port}" if user else parts.netloc
    return replace(
        servers.targets(), postgres_url=parts._replace(netloc=netloc, path=f"/{database}").geturl()
    )


async def test_a_foreign_role_is_not_changed(servers: Servers, admin: asyncpg.Connection) -> None:
    await admin.execute("CREATE ROLE stock LOGIN CREATEDB PASSWORD 'foreign'")
    before = await roles(admin)
    with pytest.raises(StackError, match="did not make: stock"):
        await prepare_schemas(targets_of(servers, "cafeteria"))
    assert await roles(admin) == before
    assert not await admin.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'cafeteria')")
    await admin.execute("DROP ROLE stock")


async def roles(admin: asyncpg.Connection) -> list[asyncpg.Record]:
    return await admin.fetch("SELECT * FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY rolname")


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("CREATE SCHEMA kitchen", "schema kitchen"),
        ("CREATE SCHEMA payroll", "schema payroll"),
        ("CREATE TABLE salaries (id int)", "table salaries"),
    ],
)
async def test_a_foreign_database_is_not_changed(
    servers: Servers, admin: asyncpg.Connection, made: str, named: str
) -> None:
    await admin.execute("CREATE DATABASE office")
    foreign = await connect(targets_of(servers, "office").postgres_url)
    await foreign.execute(made)
    before = (
        await roles(admin),
        await admin.fetchval("SELECT datacl FROM pg_database WHERE datname = 'office'"),
    )
    with pytest.raises(StackError, match=named):
        await prepare_schemas(targets_of(servers, "office"))
    assert before == (
        await roles(admin),
        await admin.fetchval("SELECT datacl FROM pg_database WHERE datname = 'office'"),
    )
    await foreign.close()
    await admin.execute("DROP DATABASE office")


async def test_an_administrator_without_createrole_gets_an_error_that_says_so(
    servers: Servers, admin: asyncpg.Connection
) -> None:
    await admin.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    with pytest.raises(StackError, match="needs CREATEROLE"):
        await prepare_schemas(targets_of(servers, "lunch", user="guest:guest"))
    await admin.execute("DROP ROLE guest")


async def test_an_administrator_without_superuser_rights_can_run_the_bootstrap_twice(
    servers: Servers, admin: asyncpg.Connection
) -> None:
    await admin.execute("CREATE ROLE boss LOGIN CREATEROLE CREATEDB PASSWORD 'b/o:s@s'")
    targets = targets_of(servers, "cafeteria", user="boss:b%2Fo%3As%40s")
    await prepare_database(targets)
    first = await service_roles(admin)
    await prepare_database(targets)
    assert await service_roles(admin) == first
    await remove_marks(admin)
    await prepare_database(targets)
    assert await service_roles(admin) == first
    await admin.execute("ALTER ROLE stock CREATEDB INHERIT")
    await prepare_database(servers.targets())
    assert await service_roles(admin) == first


async def service_roles(admin: asyncpg.Connection) -> list[tuple[object, ...]]:
    columns = (
        "rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolinherit"
    )
    found = await admin.fetch(
        f"SELECT {columns}, shobj_description(oid, 'pg_authid')"  # noqa: S608 - columns named above
        " FROM pg_roles WHERE rolname = ANY($1) ORDER BY 1",
        list(SERVICES),
    )
    assert [tuple(row) for row in found] == [
        (name, True, False, False, False, False, False, False, COMMENT) for name in sorted(SERVICES)
    ]
    return [tuple(row) for row in found]


async def remove_marks(admin: asyncpg.Connection) -> None:
    for role in (*SERVICES, "cafeteria_owner"):
        await admin.execute(f"COMMENT ON ROLE {role} IS NULL")


def test_services_do_not_inherit_libpqs_environment(servers: Servers) -> None:
    home = DataDirectory(root=Path("/nowhere"))
    given = service_environment("stock", inherited={**LIBPQ, "LANG": "C"}, home=home, servers=servers, port=1)
    assert not LIBPQ.keys() & given.keys()
    assert given["LANG"] == "C"


@pytest.mark.parametrize(
    ("inherited", "origins"), [(None, "http://localhost:1"), ("", ""), ("https://a.example",) * 2]
)
def test_origins_that_are_set_replace_the_stacks_own(
    servers: Servers, inherited: str | None, origins: str
) -> None:
    own = {} if inherited is None else {"CAFETERIA_PUBLIC_ORIGINS": inherited}
    home = DataDirectory(root=Path("/nowhere"))
    given = service_environment(
        "stock",
        inherited=own,
        home=home,
        servers=servers,
        port=1,
        defaults={"CAFETERIA_PUBLIC_ORIGINS": "http://localhost:1"},
    )
    assert given["CAFETERIA_PUBLIC_ORIGINS"] == origins


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="only root can mount a shared memory"
)
@pytest.mark.parametrize(
    "shared_memory", ["mount -t tmpfs -o size=64k none /dev/shm", "mount -t tmpfs -o mode=0 none /dev"]
)
async def test_postgres_starts_without_shared_memory(shared_memory: str) -> None:
    """The second case removes /dev/shm and everything in /dev that a shell does not need."""
    nodes = "mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/urandom c 1 9; chmod 755 /dev"
    migrate = f"{sys.executable} -m cafeteria.local_stack migrate"
    with temporary_data_directory() as home:
        script = f"{shared_memory}; [ -e /dev/null ] || {{ {nodes}; }}; exec {migrate}"
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "sh", "-c", script),
            env={**os.environ, "CAFETERIA_HOME": str(home.root)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        assert "dynamic_shared_memory_type = mmap" in (home.postgres / "cafeteria.conf").read_text()
