"""What a person meets whose `just up` cannot start, or is ended while it starts."""

import os
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from cafeteria.local_stack import ports
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.ownership import MARKER

Up = Callable[..., AbstractAsyncContextManager[Any]]


async def test_a_port_in_use_is_named_before_anything_starts(up: Up, home: DataDirectory) -> None:
    base = ports.free_ports(5)
    with socket.create_server((ports.HOST, base + 2)):
        async with up(home, CAFETERIA_PORT_BASE=str(base)) as running:
            assert await running.ends() == 1
    assert f"Port {base + 2} (stock) is in use" in running.output
    assert "CAFETERIA_PORT_BASE" in running.output
    assert "Traceback" not in running.output
    assert not home.postgres.exists()


@pytest.mark.parametrize("variable", ["CAFETERIA_POSTGRES_PORT", "CAFETERIA_NATS_PORT"])
async def test_a_servers_port_in_use_is_named(up: Up, home: DataDirectory, variable: str) -> None:
    port = ports.free_port()
    with socket.create_server((ports.HOST, port)):
        async with up(home, **{variable: str(port)}) as running:
            assert await running.ends() == 1
    assert f"Port {port} " in running.output
    assert "Traceback" not in running.output


async def test_data_of_another_postgres_is_left_alone(up: Up, home: DataDirectory) -> None:
    home.postgres.mkdir(parents=True)
    version = home.postgres / "PG_VERSION"
    version.write_text("17\n")
    (home.postgres / MARKER).touch()
    async with up(home) as running:
        assert await running.ends() == 1
    assert "Postgres 17" in running.output
    assert "just reset" in running.output
    assert "Traceback" not in running.output
    assert version.read_text() == "17\n"


async def test_a_service_that_cannot_start_says_why_and_nothing_is_left(up: Up, home: DataDirectory) -> None:
    async with up(home, IDENTITY_SESSION_S="sometimes") as running:
        assert await running.ends() == 1
    assert "IDENTITY_SESSION_S" in running.output
    assert "identity ended while it started" in running.output
    assert "Traceback" not in running.output


async def test_a_signal_during_the_start_ends_it(up: Up, home: DataDirectory) -> None:
    async with up(home) as running:
        await running.says("starting on")
        os.killpg(running.process.pid, signal.SIGTERM)
        assert await running.ends() == 0
    assert "Traceback" not in running.output


async def test_a_home_that_cannot_be_written_is_named(up: Up, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with up(DataDirectory(root=tmp_path / "file" / "home")) as running:
        assert await running.ends() == 1
    assert "CAFETERIA_HOME" in running.output
    assert "Traceback" not in running.output


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CAFETERIA_POSTGRES_URL", "postgresql://postgres:guess@127.0.0.1:1/cafeteria?sslmode=require"),
        ("CAFETERIA_HOME", "/"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_named_and_nothing_starts(
    up: Up, home: DataDirectory, variable: str, value: str
) -> None:
    async with up(home, **{variable: value}) as running:
        assert await running.ends() == 2
    assert variable in running.output
    assert "guess" not in running.output
    assert len(running.lines) <= 2
    assert not home.postgres.exists()


async def test_borrowed_servers_that_are_away_are_named(up: Up, home: DataDirectory) -> None:
    url = "postgresql://postgres:guess@127.0.0.1:1/cafeteria"
    async with up(home, CAFETERIA_POSTGRES_URL=url) as running:
        assert await running.ends() == 1
    assert "127.0.0.1:1" in running.output
    assert "guess" not in running.output
    assert "Traceback" not in running.output
