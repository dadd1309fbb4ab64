"""The plugin's fixtures give integration tests clean, real servers."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import asyncpg
import httpx
import msgspec
import pytest
from litestar import get
from nats.errors import NoRespondersError

from cafeteria.chassis.app import ServiceApp, build_app
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts import subjects
from cafeteria.contracts.channels import WIRE
from cafeteria.contracts.identity import Jwks
from cafeteria.testkit.servers import FixtureServers

Serve = Callable[[ServiceApp], AbstractAsyncContextManager[str]]


async def test_the_servers_have_migrated_schemas_and_streams(servers: FixtureServers) -> None:
    assert servers.migrated == subjects.SERVICES
    async with servers.bus_as("admin") as client:
        for stream in subjects.STREAMS:
            info = await client.jetstream().stream_info(stream.name)
            assert (info.config.metadata or {})["wire"] == WIRE


async def test_clean_empties_tables_and_streams(servers: FixtureServers, clean: None) -> None:
    async with servers.database_as("stock") as connection:
        await connection.execute(
            "INSERT INTO items (id, name, price, on_sale, created_at) "
            "VALUES (gen_random_uuid(), 'Samosa', 20, true, now())"
        )
    async with servers.bus_as("gateway") as client:
        await client.jetstream().publish(subjects.WORK_PLACED.subject, b"{}")
    await servers.clean()
    async with servers.database_as("stock") as connection:
        assert await connection.fetchval("SELECT count(*) FROM items") == 0
    async with servers.bus_as("admin") as client:
        info = await client.jetstream().stream_info(subjects.KITCHEN_STREAM.name)
        assert info.state.messages == 0


async def test_clean_keeps_the_rows_that_a_migration_inserted(servers: FixtureServers, clean: None) -> None:
    async with servers.database_as("notification") as connection:
        before = await connection.fetch("SELECT * FROM position_counter")
        await connection.execute("UPDATE position_counter SET position = position + 7")
    await servers.clean()
    async with servers.database_as("notification") as connection:
        assert await connection.fetch("SELECT * FROM position_counter") == before
        assert len(before) == 1


async def test_clean_starts_stopped_servers(servers: FixtureServers, clean: None) -> None:
    await servers.nats.stop()
    await servers.postgres.stop()
    await servers.clean()
    async with servers.database_as("gateway") as connection, servers.bus_as("gateway") as client:
        assert await connection.fetchval("SELECT 1") == 1
        assert client.is_connected


async def test_a_second_connection_reads_and_writes_arrays_with_cached_types(
    servers: FixtureServers, clean: None
) -> None:
    ids, words, numbers = [new_id(), new_id()], ["a", None], [1, 2**40]
    for _ in range(2):
        async with servers.database_as_admin() as connection:
            row = await connection.fetchrow(
                "SELECT $1::uuid[], $2::varchar[], $3::bigint[]", ids, words, numbers
            )
            assert row == (ids, words, numbers)
            await connection.execute("CREATE TYPE pg_temp.mood AS ENUM ('hungry')")
            assert await connection.fetchval("SELECT ARRAY['hungry']::pg_temp.mood[]") == ["hungry"]


async def test_a_stand_in_answers_for_identity_except_without_identity(
    servers: FixtureServers, clean: None
) -> None:
    async with servers.bus_as("gateway") as client:
        reply = await client.request(subjects.JWKS.subject, b"{}", timeout=10)
        assert len(msgspec.json.decode(reply.data, type=Jwks).keys) == 1
        async with servers.without_identity():
            with pytest.raises(NoRespondersError):
                await client.request(subjects.JWKS.subject, b"{}", timeout=10)
        await client.request(subjects.JWKS.subject, b"{}", timeout=10)


async def test_an_app_is_served_on_its_own_port(servers: FixtureServers, serve: Serve) -> None:
    @get("/hello", sync_to_thread=False)
    def hello() -> str:
        return "Iftar Mubarak"

    settings = servers.settings("stock", ServiceSettings)
    app = build_app(service="stock", settings=settings, route_handlers=[hello], checks={})
    async with serve(app) as url, httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/hello")).text == "Iftar Mubarak"


async def test_a_wrong_password_is_refused(servers: FixtureServers) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(servers.postgres_url, user="stock", password="guess")
