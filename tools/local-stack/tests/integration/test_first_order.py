"""What the README tells a newcomer to type works as it stands there, in this system's own shell: `./just up`, and a first order.

This is the smoke test for each system that the project is meant to run on. One start serves many questions more.
"""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from cafeteria.contracts.subjects import GATEWAY, SERVICES
from cafeteria.local_stack.child import is_alive
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.stack import SERVER_GRACE_S, SERVICE_GRACE_S
from cafeteria.provisioning import demo_data
from cafeteria.provisioning.credentials import Credentials

Up = Callable[..., AbstractAsyncContextManager[Any]]
WaitUntil = Callable[..., Any]
ROOT = Path(__file__).parents[4]
OPEN = "keeps the data"  # the end of the last line before the stack only runs
STATUSES = ["PENDING", "STOCK_VERIFIED", "IN_KITCHEN", "READY"]
COOKED_WITHIN_S = 60.0
STOP_BUDGET_S = 5.0
STOP_WITHIN_S = STOP_BUDGET_S + 5.0
"""What the graces of all parts make together, and what a busy machine adds; a part without a grace would take for ever."""
PATIENCE_S = 30.0  # with one answer of a machine that does much else


@pytest.mark.timeout(400)  # two starts of everything, each of which may take 180 s
async def test_one_command_runs_everything_and_nothing_is_left_of_it(
    up: Up, home: DataDirectory, wait_until: WaitUntil
) -> None:
    async with up(home, command=(str(ROOT / "just"), "up")) as running:
        await running.says(OPEN)
        await the_first_order_is_followed_to_ready(running)
        await addresses_and_accounts_are_shown(running)
        no_secret_is_on_a_command_line(running, home)
        await a_killed_service_comes_back(running, wait_until)
        await a_second_one_is_refused(up, home)
        await a_reset_is_refused(home)
        await ctrl_c_ends_everything(running)
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


def nothing_is_open_to_others(home: DataDirectory) -> bool:
    """The stack was started with an umask that closes nothing; under root Postgres' user passes through the home."""
    return not [path for path in home.root.rglob("*") if path.lstat().st_mode & 0o077]


async def the_first_order_is_followed_to_ready(running: Any) -> None:
    async with typed(first_order(urlsplit(running.url(GATEWAY)).port or 0)) as lines:
        assert await statuses(lines) == STATUSES


def first_order(base: int) -> str:
    """The commands of the README's section, at the ports of this stack."""
    section = (ROOT / "README.md").read_text().partition("\n## A first order\n")[2].partition("\n## ")[0]
    commands = "\n".join(re.findall(r"^```sh\n(.+?)^```", section, flags=re.MULTILINE | re.DOTALL))
    moved = re.sub(r"localhost:80(\d\d)/", lambda found: f"localhost:{base + int(found[1])}/", commands)
    assert moved != commands
    return moved


@contextlib.asynccontextmanager
async def typed(commands: str) -> AsyncIterator[asyncio.StreamReader]:
    """What they print; the last of them goes on until it is ended, not by SIGINT: a suite in the background ignores it."""
    shell = await asyncio.create_subprocess_exec("sh", "-euc", commands, stdout=PIPE, process_group=0)
    assert shell.stdout
    try:
        yield shell.stdout
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        await shell.communicate()


async def statuses(lines: asyncio.StreamReader) -> list[str]:
    """In the order in which the stream told them, up to the last."""
    found: list[str] = []
    async with asyncio.timeout(COOKED_WITHIN_S):
        while STATUSES[-1] not in found:
            line = await lines.readline()
            assert line, "the stream ended"
            if line.startswith(b"data:"):
                found += re.findall(r'"status":\s*"(\w+)"', line.decode())
    return found


async def addresses_and_accounts_are_shown(running: Any) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
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
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        header = await log_in(client, running, demo_data.OPERATOR)
        items = (await client.get(f"{running.url('stock')}/v1/items")).json()["items"]
        url = f"{running.url('stock')}/v1/items/{items[0]['id']}"
        answer = await client.patch(url, headers=header, json={"name": "Sehri Box"})
        assert answer.status_code == httpx.codes.OK, answer.text


async def data_is_as_it_was(running: Any) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        items = (await client.get(f"{running.url('stock')}/v1/items")).json()["items"]
        await log_in(client, running, demo_data.STUDENTS[1])
    assert len(items) == len(demo_data.MENU)
    assert "Sehri Box" in {item["name"] for item in items}


def no_secret_is_on_a_command_line(running: Any, home: DataDirectory) -> None:
    lines = [" ".join(process.cmdline()) for process in running.children()]
    assert len(lines) > len(SERVICES)
    assert not [secret for secret in secrets_of(home) for line in lines if secret in line]


def no_secret_was_written(running: Any, home: DataDirectory) -> None:
    written = [running.output, *(log.read_text() for log in home.logs.iterdir())]
    assert not [secret for secret in secrets_of(home) for text in written if secret in text]


def secrets_of(home: DataDirectory) -> list[str]:
    files = Credentials(home.secrets).folder.iterdir()
    return [line for file in files for line in file.read_text().split() if len(line) > 20]


async def a_killed_service_comes_back(running: Any, wait_until: WaitUntil) -> None:
    killed = running.child("cafeteria.stock")
    killed.kill()
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:

        async def is_back() -> bool:
            try:
                answer = await client.get(f"{running.url('stock')}/health/ready")
            except httpx.HTTPError:
                return False
            return answer.status_code == httpx.codes.OK

        await wait_until(lambda: not is_alive(killed))
        await wait_until(is_back, timeout_s=60)
    assert running.child("cafeteria.stock").pid != killed.pid
    await running.says("stock ended (SIGKILL), it is started again")


async def a_second_one_is_refused(up: Up, home: DataDirectory) -> None:
    async with up(home) as second:
        assert await second.ends() == 1
    assert "A stack is running on" in second.output
    assert "Traceback" not in second.output


async def a_reset_is_refused(home: DataDirectory) -> None:
    code, output = await reset(home)
    assert code == 1
    assert "stop it first" in output
    assert (home.root / "postgres").exists()


async def reset(home: DataDirectory) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cafeteria.local_stack", "reset"),
        env={**os.environ, "CAFETERIA_HOME": str(home.root)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def ctrl_c_ends_everything(running: Any) -> None:
    """The group of a service is the supervisor's own: a terminal's signal reaches all of them."""
    children = running.children()
    group = os.getpgid(running.child("cafeteria.kitchen").pid)
    assert group == os.getpgid(running.process.pid)
    started = time.monotonic()
    os.killpg(group, signal.SIGINT)
    assert await running.ends() == 0
    assert time.monotonic() - started < STOP_WITHIN_S
    assert SERVICE_GRACE_S + SERVER_GRACE_S < STOP_BUDGET_S
    assert not [process for process in children if is_alive(process)]
    assert "stopping" in running.output
    assert "stopped: services and servers have ended" in running.output
    assert str(running.home.root) in running.output.splitlines()[-1]


async def a_killed_supervisor_leaves_nothing(running: Any, wait_until: WaitUntil) -> None:
    children = running.children()
    running.process.kill()
    await wait_until(lambda: not [each for each in children if is_alive(each)])
