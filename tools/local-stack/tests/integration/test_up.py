"""A `just up` that cannot start prints one sentence and leaves nothing running."""

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cafeteria.local_stack import ports
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.ownership import MARKER

if TYPE_CHECKING:
    from conftest import Up


async def test_a_port_in_use_is_named_before_any_process_starts(up: "Up", home: DataDirectory) -> None:
    base = ports.free_ports(5)
    with socket.create_server((ports.HOST, base + 2)):
        async with up(home, CAFETERIA_PORT_BASE=str(base)) as running:
            assert await running.exit_code() == 1
    assert f"Port {base + 2} (stock) is in use" in running.output
    assert "CAFETERIA_PORT_BASE" in running.output
    assert "Traceback" not in running.output
    assert not home.postgres.exists()


@pytest.mark.parametrize(
    "variable", ["CAFETERIA_POSTGRES_PORT", "CAFETERIA_NATS_PORT", "CAFETERIA_EDGE_PORT"]
)
async def test_a_servers_port_in_use_is_named(up: "Up", home: DataDirectory, variable: str) -> None:
    port = ports.free_port()
    with socket.create_server((ports.HOST, port)):
        async with up(home, **{variable: str(port)}) as running:
            assert await running.exit_code() == 1
    assert f"Port {port} " in running.output
    assert variable in running.output
    assert "Traceback" not in running.output


async def test_data_of_another_postgres_version_is_not_changed(up: "Up", home: DataDirectory) -> None:
    home.postgres.mkdir(parents=True)
    version = home.postgres / "PG_VERSION"
    version.write_text("17\n")
    (home.postgres / MARKER).touch()
    async with up(home) as running:
        assert await running.exit_code() == 1
    assert "Postgres 17" in running.output
    assert "just reset" in running.output
    assert "Traceback" not in running.output
    assert version.read_text() == "17\n"


async def test_a_service_that_cannot_start_is_named_with_the_reason(up: "Up", home: DataDirectory) -> None:
    async with up(home, IDENTITY_SESSION_S="sometimes") as running:
        assert await running.exit_code() == 1
    assert "IDENTITY_SESSION_S" in running.output
    assert "identity ended while it started" in running.output
    assert "Traceback" not in running.output


async def test_a_signal_ends_a_start(up: "Up", home: DataDirectory) -> None:
    async with up(home) as running:
        await running.prints("starting on")
        os.killpg(running.process.pid, signal.SIGTERM)
        assert await running.exit_code() == 0
    assert "Traceback" not in running.output


async def test_a_data_directory_that_cannot_be_written_is_named(up: "Up", tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with up(DataDirectory(root=tmp_path / "file" / "home")) as running:
        assert await running.exit_code() == 1
    assert "CAFETERIA_HOME" in running.output
    assert "Traceback" not in running.output


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CAFETERIA_POSTGRES_URL", "postgresql://postgres:guess@127.0.0.1:1/cafeteria?sslmode=require"),
        ("CAFETERIA_HOME", "/"),
    ],
)
async def test_an_invalid_setting_is_named_and_no_process_starts(
    up: "Up", home: DataDirectory, variable: str, value: str
) -> None:
    async with up(home, **{variable: value}) as running:
        assert await running.exit_code() == 2
    assert variable in running.output
    assert "guess" not in running.output
    assert len(running.lines) <= 2
    assert not home.postgres.exists()


async def test_an_unreachable_external_server_is_named(up: "Up", home: DataDirectory) -> None:
    url = "postgresql://postgres:guess@127.0.0.1:1/cafeteria"
    async with up(home, CAFETERIA_POSTGRES_URL=url) as running:
        assert await running.exit_code() == 1
    assert "127.0.0.1:1" in running.output
    assert "guess" not in running.output
    assert "Traceback" not in running.output
