"""The bootstrap may run at any time: it repairs differences and changes nothing else."""

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
from cafeteria.contracts.channels import ACK_WAIT_S
from cafeteria.local_stack.tasks import ended
from cafeteria.provisioning import demo_data, streams
from cafeteria.provisioning.bootstrap import main, prepare_bus, prepare_database, watch_bus
from cafeteria.provisioning.errors import ServerUnavailableError, StackError
from cafeteria.provisioning.streams import BusAdmin
from cafeteria.provisioning.targets import Targets
from cafeteria.testkit.servers import FixtureServers

WaitUntil = Callable[..., Any]


@pytest.fixture
async def targets(servers: FixtureServers, clean: None) -> AsyncIterator[Targets]:
    yield servers.targets()
    await servers.clean()


async def test_a_second_run_changes_nothing(servers: FixtureServers, targets: Targets) -> None:
    assert await prepare_bus(targets) == []
    await prepare_database(targets)
    async with servers.database_as_admin() as admin:
        before = await stored_rows(admin)
        await prepare_database(targets)
        assert await stored_rows(admin) == before


async def stored_rows(admin: asyncpg.Connection) -> list[Any]:
    counted = "SELECT count(*) FROM"
    return [
        await admin.fetch("SELECT * FROM identity.users ORDER BY id"),
        await admin.fetch("SELECT * FROM stock.items JOIN stock.inventory ON item_id = items.id ORDER BY 1"),
        await admin.fetchval(f"{counted} stock.restocks"),
    ]


async def test_concurrent_runs_leave_the_bus_complete(targets: Targets) -> None:
    await asyncio.gather(prepare_bus(targets), prepare_bus(targets), prepare_bus(targets))
    assert await prepare_bus(targets) == []


async def test_streams_and_durables_have_the_designed_settings(servers: FixtureServers, clean: None) -> None:
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


async def test_messages_of_an_older_wire_format_are_purged_once(
    servers: FixtureServers, targets: Targets
) -> None:
    """No service can read them; the services publish undelivered messages again."""
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


async def test_a_nearly_full_stream_is_logged_once(
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
    warnings = [record.getMessage() for record in caplog.records if "full" in record.getMessage()]
    assert len(warnings) == 1
    assert subjects.KITCHEN_STREAM.name in warnings[0]


async def test_a_changed_durable_gets_its_settings_back(servers: FixtureServers, targets: Targets) -> None:
    durable = subjects.KITCHEN_WORK
    wrong = streams.durable_config(durable) | {"ack_wait": 60 * 10**9, "max_ack_pending": 1}
    async with servers.bus_as("admin") as client:
        subject = f"$JS.API.CONSUMER.CREATE.{durable.stream}.{durable.name}.{durable.filter_subject}"
        body = json.dumps({"stream_name": durable.stream, "config": wrong}).encode()
        await client.request(subject, body, timeout=10)
        assert await prepare_bus(targets) == [f"durable {durable.stream}/{durable.name}"]
        info = await client.jetstream().consumer_info(durable.stream, durable.name)
        assert info.config.ack_wait == ACK_WAIT_S


async def test_a_change_that_nats_refuses_is_an_error_that_names_it(
    servers: FixtureServers, targets: Targets
) -> None:
    stream = subjects.KITCHEN_STREAM
    async with servers.bus_as("admin") as client:
        await client.jetstream().delete_stream(stream.name)
        wrong = streams.stream_config(stream, max_bytes=1 << 20) | {"storage": "memory"}
        await client.request(f"$JS.API.STREAM.CREATE.{stream.name}", json.dumps(wrong).encode(), timeout=10)
        with pytest.raises(StackError, match="storage"):
            await prepare_bus(targets)
        await client.jetstream().delete_stream(stream.name)


async def test_the_watch_restores_a_lost_store(
    servers: FixtureServers, targets: Targets, wait_until: WaitUntil
) -> None:
    watch = asyncio.create_task(watch_bus(targets))
    try:
        await servers.lose_nats_store()
        async with servers.bus_as("gateway") as gateway:

            async def has_consumer() -> bool:
                try:
                    await gateway.jetstream().consumer_info(*GATEWAYS_DURABLE)
                except NotFoundError:
                    return False
                return True

            await wait_until(has_consumer)
    finally:
        await ended(watch)


GATEWAYS_DURABLE = (subjects.GATEWAY_PROJECTION.stream, subjects.GATEWAY_PROJECTION.name)


async def test_a_watch_that_starts_without_a_server_waits_for_it(
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
            await wait_until(lambda: "accepted no login of admin" in caplog.text)
        await servers.lose_nats_store()
        await wait_until(lambda: "made on the bus" in caplog.text)
    finally:
        await ended(watch)


async def test_the_watch_restores_a_deleted_stream(
    servers: FixtureServers, targets: Targets, wait_until: WaitUntil
) -> None:
    watch = asyncio.create_task(watch_bus(targets))
    try:
        async with servers.bus_as("admin") as client:
            context = client.jetstream()
            before = (await context.stream_info(subjects.KITCHEN_STREAM.name)).created
            await context.delete_stream(subjects.KITCHEN_STREAM.name)

            async def is_restored() -> bool:
                try:
                    return (await context.stream_info(subjects.KITCHEN_STREAM.name)).created != before
                except NotFoundError:
                    return False

            await wait_until(is_restored)
    finally:
        await ended(watch)


async def test_a_server_that_flushes_after_the_acknowledgement_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Late(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={"config": {"sync_interval": 120_000_000_000}})

    monkeypatch.setattr(
        streams, "plain_http", lambda *, timeout_s: httpx.AsyncClient(transport=Late(), timeout=timeout_s)
    )
    with pytest.raises(StackError, match="sync_interval: always"):
        await streams.require_synchronous("http://nats")


async def test_an_unreachable_or_refusing_database_is_an_error_that_names_it(
    servers: FixtureServers, targets: Targets
) -> None:
    nowhere = replace(targets, postgres_url="postgresql://postgres:x@127.0.0.1:1/cafeteria")
    with pytest.raises(ServerUnavailableError, match=r"127\.0\.0\.1:1"):
        await prepare_database(nowhere)
    with pytest.raises(StackError, match="refused the administrator's login"):
        await prepare_database(replace(targets, postgres_url=with_password(targets.postgres_url, "guess")))
    with pytest.raises(StackError, match="sslmode"):
        await prepare_database(replace(targets, postgres_url=f"{targets.postgres_url}?sslmode=perhaps"))


def with_password(url: str, password: str) -> str:
    before, _, address = url.rpartition("@")
    return f"{before.rpartition(':')[0]}:{password}@{address}"


async def test_a_bus_that_refuses_the_administrator_is_an_error_with_the_reason(
    targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "CONNECT_TIMEOUT_S", 1.0)
    with pytest.raises(ServerUnavailableError, match=r"(?i)authorization"):
        async with BusAdmin(with_password(targets.nats_url, "guess"), stream_max_bytes=1):
            pass


async def test_demo_data_is_consistent_and_inserted_only_where_it_is_missing(
    servers: FixtureServers, targets: Targets
) -> None:
    await prepare_database(targets)
    async with (
        servers.database_as("stock") as stock,
        servers.database_as("identity") as identity,
        servers.database_as_admin() as admin,
    ):
        totals = "SELECT count(*), min(quantity), max(quantity), sum(quantity) FROM"
        assert await stock.fetchrow(f"{totals} inventory") == (20, 1000, 1000, 20_000)
        assert await stock.fetchrow(f"{totals} restocks") == (20, 1000, 1000, 20_000)
        roles = await identity.fetch("SELECT role, count(*) FROM users GROUP BY role ORDER BY role")
        assert [tuple(row) for row in roles] == [("kitchen", 1), ("operator", 1), ("student", 200)]
        await stock.execute("UPDATE items SET name = 'Sehri Box' WHERE name = 'Firni'")
        await admin.execute("DELETE FROM identity.users WHERE student_id = '210041101'")
        await prepare_database(targets)
        assert await stock.fetchval("SELECT count(*) FROM items") == 20
        assert await identity.fetchval("SELECT count(*) FROM users") == 202


def test_only_their_owner_can_read_the_files_for_containers(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert main(["--prepare", str(folder)]) == 0
    first = {path.name: path.read_text() for path in folder.iterdir()}
    assert main(["--prepare", str(folder)]) == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == first
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o600"}
    assert 'host: "0.0.0.0"' in first["nats.conf"]
    assert first["nats-gateway"] in first["nats.conf"]


def test_the_demo_password_is_the_documented_one() -> None:
    assert demo_data.PASSWORD == "iftar-rush-2026"
