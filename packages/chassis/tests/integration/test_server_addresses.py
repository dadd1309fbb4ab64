"""Only the settings name the addresses of Postgres and NATS: libpq's variables and files are ignored; IPv6 works."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from cafeteria.chassis.database.database import (
    Database,
)
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.database.migrations import migrate
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.testkit.servers import FixtureServers

LIBPQ_VARIABLES = frozenset(
    re.findall(r"""["'](PG[A-Z]+)["']""", (Path(asyncpg.__file__).parent / "connect_utils.py").read_text())
)
WRONG_VALUES = {
    "PGHOST": "nowhere.invalid",
    "PGPORT": "1",
    "PGSSLMODE": "verify-full",
    "PGSSLNEGOTIATION": "direct",
    "PGTARGETSESSIONATTRS": "standby",
    "PGGSSLIB": "sspi",
}


@pytest.fixture
def libpq_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set every variable of libpq to a wrong value, as for work with another Postgres."""
    assert set(WRONG_VALUES) < LIBPQ_VARIABLES
    for name in LIBPQ_VARIABLES:
        monkeypatch.setenv(name, WRONG_VALUES.get(name, str(tmp_path / "nothing")))
    monkeypatch.setenv("HOME", "/proc/1/nothing")


@pytest.mark.usefixtures("libpq_environment")
async def test_a_service_ignores_libpqs_variables(gateway_settings: ServiceSettings) -> None:
    database = Database.connect(gateway_settings, service="gateway")
    await database.ping()
    await database.close()


@pytest.mark.usefixtures("libpq_environment")
async def test_a_migration_ignores_libpqs_variables(servers: FixtureServers) -> None:
    await migrate("gateway", servers.postgres_admin_url)


async def test_without_a_port_postgres_is_at_port_5432(
    gateway_settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: list[object] = []

    async def connect(host: str, port: object = None, **_: object) -> None:
        ports.append(port)
        raise ConnectionRefusedError(host)

    monkeypatch.setattr(asyncpg, "connect", connect)
    monkeypatch.setenv("PGPORT", "1")
    settings = msgspec.structs.replace(gateway_settings, postgres_url="postgresql://127.0.0.1/cafeteria")
    database = Database.connect(settings, service="gateway")
    with pytest.raises(DatabaseUnavailable):
        await database.ping()
    assert ports == [5432]


@asynccontextmanager
async def on_ipv6(url: str) -> AsyncIterator[str]:
    """Forward a port of ::1 to the server; skip the test on a machine without IPv6."""
    target = urlsplit(url)
    writers: list[asyncio.StreamWriter] = []

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(target.hostname, target.port)
        writers.extend((writer, back))
        await asyncio.gather(forward(reader, back), forward(there, writer), return_exceptions=True)

    try:
        server = await asyncio.start_server(accept, "::1", 0, family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with server:
        yield target._replace(netloc=f"[::1]:{server.sockets[0].getsockname()[1]}").geturl()
        for writer in writers:
            writer.close()


async def test_postgres_is_reached_over_ipv6(gateway_settings: ServiceSettings) -> None:
    async with on_ipv6(gateway_settings.postgres_url) as url:
        settings = msgspec.structs.replace(gateway_settings, postgres_url=url)
        database = Database.connect(settings, service="gateway")
        await database.ping()
        await database.close()


async def test_nats_is_reached_over_ipv6(gateway_settings: ServiceSettings) -> None:
    async with on_ipv6(gateway_settings.nats_url) as url:
        settings = msgspec.structs.replace(gateway_settings, nats_url=url)
        async with Bus(settings, service="gateway") as bus, asyncio.timeout(10):
            await bus.connected()
            await bus.ping()
