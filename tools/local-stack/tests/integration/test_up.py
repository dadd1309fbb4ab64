"""What a person meets who types `just up`, and what is left when it ends, however it ends."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cafeteria.contracts.bus import SERVICES
from cafeteria.local_stack import demo_data, ports
from cafeteria.local_stack.child import is_alive
from cafeteria.local_stack.credentials import Credentials
from cafeteria.local_stack.home import Home
from cafeteria.local_stack.ownership import MARKER

Up = Callable[..., AbstractAsyncContextManager[Any]]
WaitUntil = Callable[..., Any]
OPEN = "keeps the data"  # the end of the last line before the stack only runs
STOP_WITHIN_S = 5.0


async def test_one_command_runs_everything_and_nothing_is_left_of_it(
    up: Up, home: Home, wait_until: WaitUntil
) -> None:
    """One start serves many questions: it takes seconds."""
    async with up(home) as running:
        await running.says(OPEN)
        await addresses_and_accounts_are_shown(running)
        no_secret_is_on_a_command_line(running, home)
        await a_killed_service_comes_back(running, wait_until)
        await a_second_one_is_refused(up, home)
        await a_reset_is_refused(home)
        await a_signal_to_the_group_ends_everything(running)
        no_secret_was_written(running, home)
    async with up(home, CAFETERIA_HOST="::1" if has_ipv6() else "127.0.0.1") as again:
        await again.says(OPEN)
        await data_is_as_it_was(again)
        await a_killed_supervisor_leaves_nothing(again, wait_until)
    assert nothing_is_open_to_others(home)
    code, output = await reset(home)
    assert code == 0, output
    assert [path.name for path in home.root.iterdir()] == ["running"]


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


def nothing_is_open_to_others(home: Home) -> bool:
    """The stack was started with an umask that closes nothing; under root Postgres' user passes through the home."""
    return not [path for path in home.root.rglob("*") if path.lstat().st_mode & 0o077]


async def addresses_and_accounts_are_shown(running: Any) -> None:
    async with httpx.AsyncClient() as client:
        for service in SERVICES:
            answer = await client.get(f"{running.url(service)}/health/ready")
            assert answer.status_code == httpx.codes.OK, answer.text
        for account in (demo_data.STUDENTS[0], demo_data.KITCHEN, demo_data.OPERATOR):
            assert account in running.output
            await log_in(client, running, account)
        menu = (await client.get(f"{running.url('gateway')}/v1/menu")).json()
    assert len(menu["items"]) == len(demo_data.MENU)
    await rename_a_dish(running)


async def log_in(client: httpx.AsyncClient, running: Any, account: str) -> dict[str, str]:
    body = {"student_id": account, "password": demo_data.PASSWORD}
    answer = await client.post(f"{running.url('identity')}/v1/login", json=body)
    assert answer.status_code == httpx.codes.OK, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def rename_a_dish(running: Any) -> None:
    """So that data has something to keep."""
    async with httpx.AsyncClient() as client:
        header = await log_in(client, running, demo_data.OPERATOR)
        items = (await client.get(f"{running.url('stock')}/v1/items")).json()["items"]
        url = f"{running.url('stock')}/v1/items/{items[0]['id']}"
        answer = await client.patch(url, headers=header, json={"name": "Sehri Box"})
        assert answer.status_code == httpx.codes.OK, answer.text


async def data_is_as_it_was(running: Any) -> None:
    async with httpx.AsyncClient() as client:
        items = (await client.get(f"{running.url('stock')}/v1/items")).json()["items"]
        await log_in(client, running, demo_data.STUDENTS[1])
    assert len(items) == len(demo_data.MENU)
    assert "Sehri Box" in {item["name"] for item in items}


def no_secret_is_on_a_command_line(running: Any, home: Home) -> None:
    lines = [" ".join(process.cmdline()) for process in running.children()]
    assert len(lines) > len(SERVICES)
    assert not [secret for secret in secrets_of(home) for line in lines if secret in line]


def no_secret_was_written(running: Any, home: Home) -> None:
    written = [running.output, *(log.read_text() for log in home.logs.iterdir())]
    assert not [secret for secret in secrets_of(home) for text in written if secret in text]


def secrets_of(home: Home) -> list[str]:
    files = Credentials(home.secrets).folder.iterdir()
    return [line for file in files for line in file.read_text().split() if len(line) > 20]


async def a_killed_service_comes_back(running: Any, wait_until: WaitUntil) -> None:
    killed = running.child("cafeteria.stock")
    killed.kill()
    async with httpx.AsyncClient() as client:

        async def is_back() -> bool:
            try:
                answer = await client.get(f"{running.url('stock')}/health/ready")
            except httpx.HTTPError:
                return False
            return answer.status_code == httpx.codes.OK

        await wait_until(lambda: not is_alive(killed))
        await wait_until(is_back, timeout_s=30)
    assert running.child("cafeteria.stock").pid != killed.pid
    assert "stock ended (SIGKILL), it is started again" in running.output


async def a_second_one_is_refused(up: Up, home: Home) -> None:
    async with up(home) as second:
        assert await second.ends() == 1
    assert "A stack is running on" in second.output
    assert "Traceback" not in second.output


async def a_reset_is_refused(home: Home) -> None:
    code, output = await reset(home)
    assert code == 1
    assert "stop it first" in output
    assert (home.root / "postgres").exists()


async def reset(home: Home) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cafeteria.local_stack", "reset"),
        env={**os.environ, "CAFETERIA_HOME": str(home.root)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def a_signal_to_the_group_ends_everything(running: Any) -> None:
    """The group of a service is the supervisor's own: a signal to any of them reaches all."""
    children = running.children()
    group = os.getpgid(running.child("cafeteria.kitchen").pid)
    assert group == os.getpgid(running.process.pid)
    started = time.monotonic()
    os.killpg(group, signal.SIGTERM)
    assert await running.ends() == 0
    assert time.monotonic() - started < STOP_WITHIN_S
    assert not [process for process in children if is_alive(process)]
    assert "stopped: services and servers have ended" in running.output
    assert str(running.home.root) in running.output.splitlines()[-1]


async def a_killed_supervisor_leaves_nothing(running: Any, wait_until: WaitUntil) -> None:
    children = running.children()
    running.process.kill()
    await wait_until(lambda: not [each for each in children if is_alive(each)], timeout_s=STOP_WITHIN_S)


async def test_a_port_in_use_is_named_before_anything_starts(up: Up, home: Home) -> None:
    base = ports.free_ports(5)
    with socket.create_server((ports.HOST, base + 2)):
        async with up(home, CAFETERIA_PORT_BASE=str(base)) as running:
            assert await running.ends() == 1
    assert f"Port {base + 2} (stock) is in use" in running.output
    assert "CAFETERIA_PORT_BASE" in running.output
    assert "Traceback" not in running.output
    assert not home.postgres.exists()


@pytest.mark.parametrize("variable", ["CAFETERIA_POSTGRES_PORT", "CAFETERIA_NATS_PORT"])
async def test_a_servers_port_in_use_is_named(up: Up, home: Home, variable: str) -> None:
    port = ports.free_port()
    with socket.create_server((ports.HOST, port)):
        async with up(home, **{variable: str(port)}) as running:
            assert await running.ends() == 1
    assert f"Port {port} " in running.output
    assert "Traceback" not in running.output


async def test_data_of_another_postgres_is_left_alone(up: Up, home: Home) -> None:
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


async def test_a_service_that_cannot_start_says_why_and_nothing_is_left(up: Up, home: Home) -> None:
    async with up(home, IDENTITY_SESSION_S="sometimes") as running:
        assert await running.ends() == 1
    assert "IDENTITY_SESSION_S" in running.output
    assert "identity ended while it started" in running.output
    assert "Traceback" not in running.output


async def test_a_signal_during_the_start_ends_it(up: Up, home: Home) -> None:
    async with up(home) as running:
        await running.says("starting on")
        running.process.send_signal(signal.SIGINT)
        assert await running.ends() == 0
    assert "Traceback" not in running.output


async def test_a_home_that_cannot_be_written_is_named(up: Up, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with up(Home(root=tmp_path / "file" / "home")) as running:
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
    up: Up, home: Home, variable: str, value: str
) -> None:
    async with up(home, **{variable: value}) as running:
        assert await running.ends() == 2
    assert variable in running.output
    assert "guess" not in running.output
    assert len(running.lines) <= 2
    assert not home.postgres.exists()


async def test_borrowed_servers_that_are_away_are_named(up: Up, home: Home) -> None:
    url = "postgresql://postgres:guess@127.0.0.1:1/cafeteria"
    async with up(home, CAFETERIA_POSTGRES_URL=url) as running:
        assert await running.ends() == 1
    assert "127.0.0.1:1" in running.output
    assert "guess" not in running.output
    assert "Traceback" not in running.output
