"""The bootstrap may run at any time: it changes what is not as it should be, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from nats.js.errors import NotFoundError

from cafeteria.contracts import subjects
from cafeteria.local_stack.tasks import ended
from cafeteria.provisioning import demo_data, streams
from cafeteria.provisioning.bootstrap import main, prepare_bus, prepare_database, watch_bus
from cafeteria.provisioning.errors import ServerAwayError, StackError
from cafeteria.provisioning.streams import BusAdmin
from cafeteria.provisioning.targets import Targets
from cafeteria.testkit.servers import FixtureServers

WaitUntil = Callable[..., Any]
EVERYTHING = [
    *(f"stream {stream.name}" for stream in subjects.STREAMS),
    *(f"durable {durable.stream}/{durable.name}" for durable in subjects.DURABLES),
]


@pytest.fixture
async def targets(servers: FixtureServers, clean: None) -> AsyncIterator[Targets]:
    yield servers.targets()
    await servers.clean()


async def test_twice_changes_nothing(servers: FixtureServers, targets: Targets) -> None:
    assert await prepare_bus(targets) == []
    await prepare_database(targets)
    async with servers.database_as_admin() as admin:
        before = await everything(admin)
        await prepare_database(targets)
        assert await everything(admin) == before


async def everything(admin: asyncpg.Connection) -> list[Any]:
    counted = "SELECT count(*) FROM"
    return [
        await admin.fetch("SELECT * FROM identity.users ORDER BY id"),
        await admin.fetch("SELECT * FROM stock.items JOIN stock.inventory ON item_id = items.id ORDER BY 1"),
        await admin.fetchval(f"{counted} stock.restocks"),
    ]


async def test_two_at_once_do_not_get_in_each_others_way(targets: Targets) -> None:
    await asyncio.gather(prepare_bus(targets), prepare_bus(targets), prepare_bus(targets))
    for service_turn in range(2):
        assert await prepare_bus(targets) == [], service_turn


async def test_a_stream_is_what_the_design_says(servers: FixtureServers, clean: None) -> None:
    async with servers.bus_as("admin") as client:
        for stream in subjects.STREAMS:
            answer = await client.request(f"$JS.API.STREAM.INFO.{stream.name}", b"", timeout=10)
            config = json.loads(answer.data)["config"]
            assert config["storage"] == "file"
            assert config["retention"] == "limits"
            assert config["discard"] == "old"
            assert config["max_age"] == 7 * 24 * 3600 * 10**9
            assert config["duplicate_window"] == 600 * 10**9
            assert config["metadata"]["wire"] == "2"
            assert config["max_msgs"] == -1
            assert config["subjects"] == list(stream.subjects)
        for durable in subjects.DURABLES:
            subject = f"$JS.API.CONSUMER.INFO.{durable.stream}.{durable.name}"
            config = json.loads((await client.request(subject, b"", timeout=10)).data)["config"]
            assert config["ack_policy"] == "explicit"
            assert config["ack_wait"] == 5 * 10**9
            assert config["max_deliver"] == -1


async def test_a_changed_setting_reaches_the_stream_and_its_messages_stay(
    servers: FixtureServers, targets: Targets
) -> None:
    async with servers.bus_as("gateway") as client:
        await client.jetstream().publish(subjects.WORK_PLACED.subject, b"{}")
        larger = replace(targets, stream_max_bytes=targets.stream_max_bytes * 2)
        assert await prepare_bus(larger) == [f"stream {stream.name}" for stream in subjects.STREAMS]
        info = await client.jetstream().stream_info(subjects.KITCHEN_STREAM.name)
        assert info.config.max_bytes == larger.stream_max_bytes
        assert info.state.messages == 1


async def test_what_a_stream_holds_in_an_older_form_is_removed_once(
    servers: FixtureServers, targets: Targets
) -> None:
    """Its readers could not read it; the services send again what was not delivered."""
    stream = subjects.KITCHEN_STREAM
    older = streams.stream_config(stream, max_bytes=targets.stream_max_bytes) | {"metadata": {}}
    async with servers.bus_as("admin") as client:
        await client.request(f"$JS.API.STREAM.UPDATE.{stream.name}", json.dumps(older).encode(), timeout=10)
        await client.jetstream().publish(subjects.WORK_PLACED.subject, b"{}")
        assert await prepare_bus(targets) == [f"stream {stream.name}"]
        assert (await client.jetstream().stream_info(stream.name)).state.messages == 0
        await client.jetstream().publish(subjects.WORK_PLACED.subject, b'{"orders":[]}')
        assert await prepare_bus(targets) == []
        assert (await client.jetstream().stream_info(stream.name)).state.messages == 1


async def test_a_stream_that_fills_up_is_said_once(
    servers: FixtureServers, targets: Targets, caplog: pytest.LogCaptureFixture
) -> None:
    small = replace(targets, stream_max_bytes=100_000)
    async with BusAdmin(small.nats_url, stream_max_bytes=small.stream_max_bytes) as admin:
        await admin.ensure()
        async with servers.bus_as("gateway") as client:
            for _ in range(9):
                await client.jetstream().publish(subjects.WORK_PLACED.subject, b"x" * 10_000)
        for _ in range(2):
            await admin.ensure()
    said = [record.getMessage() for record in caplog.records if "full" in record.getMessage()]
    assert len(said) == 1
    assert subjects.KITCHEN_STREAM.name in said[0]


async def test_a_durable_that_somebody_changed_is_set_right(
    servers: FixtureServers, targets: Targets
) -> None:
    durable = subjects.KITCHEN_WORK
    wrong = streams.durable_config(durable) | {"ack_wait": 60 * 10**9, "max_ack_pending": 1}
    async with servers.bus_as("admin") as client:
        subject = f"$JS.API.CONSUMER.CREATE.{durable.stream}.{durable.name}.{durable.filter_subject}"
        body = json.dumps({"stream_name": durable.stream, "config": wrong}).encode()
        await client.request(subject, body, timeout=10)
        assert await prepare_bus(targets) == [f"durable {durable.stream}/{durable.name}"]
        info = await client.jetstream().consumer_info(durable.stream, durable.name)
        assert info.config.ack_wait == streams.ACK_WAIT_S


async def test_what_cannot_be_changed_is_said(servers: FixtureServers, targets: Targets) -> None:
    stream = subjects.KITCHEN_STREAM
    async with servers.bus_as("admin") as client:
        await client.jetstream().delete_stream(stream.name)
        wrong = streams.stream_config(stream, max_bytes=1 << 20) | {"storage": "memory"}
        await client.request(f"$JS.API.STREAM.CREATE.{stream.name}", json.dumps(wrong).encode(), timeout=10)
        with pytest.raises(StackError, match="storage"):
            await prepare_bus(targets)
        await client.jetstream().delete_stream(stream.name)


async def test_a_wiped_store_is_made_anew_by_the_watch(
    servers: FixtureServers, targets: Targets, wait_until: WaitUntil
) -> None:
    watch = asyncio.create_task(watch_bus(targets))
    try:
        await servers.lose_nats_store()
        async with servers.bus_as("gateway") as gateway:

            async def is_there() -> bool:
                try:
                    await gateway.jetstream().consumer_info(*GATEWAYS_OWN)
                except NotFoundError:
                    return False
                return True

            await wait_until(is_there)
    finally:
        await ended(watch)


GATEWAYS_OWN = (subjects.GATEWAY_PROJECTION.stream, subjects.GATEWAY_PROJECTION.name)


async def test_a_watch_that_finds_no_server_waits_for_it(
    servers: FixtureServers,
    targets: Targets,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await servers.nats.stop()
    watch = asyncio.create_task(watch_bus(targets))
    try:
        with monkeypatch.context() as impatient:
            impatient.setattr(streams, "CONNECT_TIMEOUT_S", 0.2)
            await wait_until(lambda: "did not let admin in" in caplog.text)
        await servers.lose_nats_store()
        await wait_until(lambda: "made on the bus" in caplog.text)
    finally:
        await ended(watch)


async def test_a_stream_that_is_deleted_while_the_watch_looks_comes_back(
    servers: FixtureServers, targets: Targets, wait_until: WaitUntil
) -> None:
    watch = asyncio.create_task(watch_bus(targets))
    try:
        async with servers.bus_as("admin") as client:
            context = client.jetstream()
            before = (await context.stream_info(subjects.KITCHEN_STREAM.name)).created
            await context.delete_stream(subjects.KITCHEN_STREAM.name)

            async def is_new() -> bool:
                try:
                    return (await context.stream_info(subjects.KITCHEN_STREAM.name)).created != before
                except NotFoundError:
                    return False

            await wait_until(is_new)
    finally:
        await ended(watch)


async def test_a_server_that_flushes_late_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={"config": {"sync_interval": 120_000_000_000}})

    monkeypatch.setattr(
        streams, "plain_http", lambda *, timeout_s: httpx.AsyncClient(transport=Late(), timeout=timeout_s)
    )
    with pytest.raises(StackError, match="sync_interval: always"):
        await streams.require_synchronous("http://nats")


async def test_a_database_that_is_away_or_lets_nobody_in_is_named(
    servers: FixtureServers, targets: Targets
) -> None:
    nowhere = replace(targets, postgres_url="postgresql://postgres:x@127.0.0.1:1/cafeteria")
    with pytest.raises(ServerAwayError, match=r"127\.0\.0\.1:1"):
        await prepare_database(nowhere)
    with pytest.raises(StackError, match="did not let the administrator in"):
        await prepare_database(replace(targets, postgres_url=with_password(targets.postgres_url, "guess")))
    with pytest.raises(StackError, match="sslmode"):
        await prepare_database(replace(targets, postgres_url=f"{targets.postgres_url}?sslmode=perhaps"))


def with_password(url: str, password: str) -> str:
    before, _, address = url.rpartition("@")
    return f"{before.rpartition(':')[0]}:{password}@{address}"


async def test_a_bus_that_does_not_let_the_administrator_in_is_named(
    targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "CONNECT_TIMEOUT_S", 1.0)
    with pytest.raises(ServerAwayError, match=r"(?i)authorization"):
        async with BusAdmin(with_password(targets.nats_url, "guess"), stream_max_bytes=1):
            pass


async def test_demo_data_adds_up_and_is_added_only_where_there_is_none(
    servers: FixtureServers, targets: Targets
) -> None:
    await prepare_database(targets)
    async with servers.database_as("stock") as stock, servers.database_as("identity") as identity:
        sold = "SELECT count(*), min(quantity), max(quantity), sum(quantity) FROM"
        assert tuple(await stock.fetchrow(f"{sold} inventory")) == (20, 1000, 1000, 20_000)
        assert tuple(await stock.fetchrow(f"{sold} restocks")) == (20, 1000, 1000, 20_000)
        roles = await identity.fetch("SELECT role, count(*) FROM users GROUP BY role ORDER BY role")
        assert [tuple(row) for row in roles] == [("kitchen", 1), ("operator", 1), ("student", 200)]
        await stock.execute("UPDATE items SET name = 'Sehri Box' WHERE name = 'Firni'")
        await identity.execute("DELETE FROM users WHERE student_id = '210041101'")
        await prepare_database(targets)
        assert await stock.fetchval("SELECT count(*) FROM items") == 20
        assert await identity.fetchval("SELECT count(*) FROM users") == 202


def test_preparations_for_containers_are_for_their_owners_eyes(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert main(["--prepare", str(folder)]) == 0
    first = {path.name: path.read_text() for path in folder.iterdir()}
    assert main(["--prepare", str(folder)]) == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == first
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o600"}
    assert 'host: "0.0.0.0"' in first["nats.conf"]
    assert first["nats-gateway"] in first["nats.conf"]


def test_the_demo_password_is_the_published_one() -> None:
    assert demo_data.PASSWORD == "iftar-rush-2026"
