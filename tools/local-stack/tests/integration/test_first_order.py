"""The README's commands for newcomers work unchanged in this system's shell: `./just up` and a first order.

This is the smoke test for each supported operating system. A start is slow, so one test checks many facts.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from cafeteria.contracts.subjects import GATEWAY, SERVICES
from cafeteria.local_stack.child import is_alive
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.stack import SERVER_GRACE_S, SERVICE_GRACE_S
from cafeteria.provisioning import demo_data
from cafeteria.provisioning.credentials import Credentials

if TYPE_CHECKING:
    from conftest import Up, UpProcess

WaitUntil = Callable[..., Any]
ROOT = Path(__file__).parents[4]
OPEN = "keeps the data"  # the end of the last line of a start
STATUSES = ["PENDING", "STOCK_VERIFIED", "IN_KITCHEN", "READY"]
COOKED_WITHIN_S = 60.0
STOP_BUDGET_S = 5.0
STOP_WITHIN_S = STOP_BUDGET_S + 5.0
"""The sum of all grace periods, plus a busy machine's delay; a process without a grace period would never end."""
ANSWER_TIMEOUT_S = 30.0  # for one answer of a busy machine


@pytest.mark.timeout(400)  # two starts of the whole stack, each of which may take 180 s
async def test_one_command_runs_the_whole_stack_and_leaves_no_process(
    up: "Up", home: DataDirectory, wait_until: WaitUntil
) -> None:
    async with up(home, command=(str(ROOT / "just"), "up")) as running:
        await running.prints(OPEN)
        await check_first_order_becomes_ready(running)
        await check_addresses_and_accounts_are_printed(running)
        await check_the_pages_are_where_they_are_printed(running)
        check_no_command_line_contains_a_secret(running, home)
        await check_a_killed_service_restarts(running, wait_until)
        await check_a_second_stack_is_refused(up, home)
        await check_a_reset_is_refused(home)
        await check_ctrl_c_ends_all_processes(running)
        check_no_output_contains_a_secret(running, home)
    async with up(home, CAFETERIA_HOST="::1" if has_ipv6() else "127.0.0.1") as again:
        await again.prints(OPEN)
        await check_the_data_is_kept(again)
        await check_the_pages_are_where_they_are_printed(again)
        await check_a_killed_supervisor_leaves_no_process(again, wait_until)
    assert nothing_is_open_to_others(home)
    code, output = await reset(home)
    assert code == 0, output
    assert [path.name for path in home.root.iterdir()] == ["running"]


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


def nothing_is_open_to_others(home: DataDirectory) -> bool:
    """Whether only the owner can open the files, although the stack started with a umask of 0."""
    return not [path for path in home.root.rglob("*") if path.lstat().st_mode & 0o077]


async def check_first_order_becomes_ready(running: "UpProcess") -> None:
    async with run_in_shell(first_order(urlsplit(running.url(GATEWAY)).port or 0)) as lines:
        assert await statuses(lines) == STATUSES


def first_order(base: int) -> str:
    """Return the commands of the README's section with this stack's ports."""
    section = (ROOT / "README.md").read_text().partition("\n## A first order\n")[2].partition("\n## ")[0]
    commands = "\n".join(re.findall(r"^```sh\n(.+?)^```", section, flags=re.MULTILINE | re.DOTALL))
    moved = re.sub(r"localhost:80(\d\d)/", lambda found: f"localhost:{base + int(found[1])}/", commands)
    assert moved != commands
    return moved


@contextlib.asynccontextmanager
async def run_in_shell(commands: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run the commands and give their output. SIGTERM ends the last one: a shell in the background ignores SIGINT."""
    shell = await asyncio.create_subprocess_exec("sh", "-euc", commands, stdout=PIPE, process_group=0)
    assert shell.stdout
    try:
        yield shell.stdout
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        await shell.communicate()


async def statuses(lines: asyncio.StreamReader) -> list[str]:
    """Return the statuses in the stream's order, up to the last one."""
    found: list[str] = []
    async with asyncio.timeout(COOKED_WITHIN_S):
        while STATUSES[-1] not in found:
            line = await lines.readline()
            assert line, "the stream ended"
            if line.startswith(b"data:"):
                found += re.findall(r'"status":\s*"(\w+)"', line.decode())
    return found


async def check_addresses_and_accounts_are_printed(running: "UpProcess") -> None:
    async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S) as client:
        for service in SERVICES:
            answer = await client.get(f"{running.url(service)}/health/ready")
            assert answer.status_code == httpx.codes.OK, answer.text
        for account in (demo_data.STUDENTS[0], demo_data.KITCHEN, demo_data.OPERATOR):
            assert account in running.output
            await log_in(client, running, account)
        menu = (await client.get(f"{running.url('gateway')}/v1/menu")).json()
    assert len(menu["items"]) == len(demo_data.MENU)
    await rename_a_dish(running)


async def check_the_pages_are_where_they_are_printed(running: "UpProcess") -> None:
    """A browser knows that every name below localhost is this machine; here the edge is asked under that name."""
    host = urlsplit(running.url(GATEWAY)).hostname or ""
    reached = f"[{host}]" if ":" in host else host
    for who, path in (("Students", ""), ("Kitchen", "/kitchen"), ("Operator", "/ops")):
        page = urlsplit(running.page(who))
        async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S) as client:
            answer = await client.get(f"http://{reached}:{page.port}/", headers={"Host": page.netloc})
        assert answer.headers.get("location", "") == path, who
    assert re.search(rf"Students +│.*{GATEWAY} +│", running.output, re.DOTALL)  # people's addresses first


async def log_in(client: httpx.AsyncClient, running: "UpProcess", account: str) -> dict[str, str]:
    body = {"student_id": account, "password": demo_data.PASSWORD}
    answer = await client.post(f"{running.url('identity')}/v1/login", json=body)
    assert answer.status_code == httpx.codes.OK, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def rename_a_dish(running: "UpProcess") -> None:
    """Change a row, so that the second start can show that it keeps the data."""
    async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S) as client:
        header = await log_in(client, running, demo_data.OPERATOR)
        items = (await client.get(f"{running.url('stock')}/v1/items")).json()["items"]
        url = f"{running.url('stock')}/v1/items/{items[0]['id']}"
        answer = await client.patch(url, headers=header, json={"name": "Sehri Box"})
        assert answer.status_code == httpx.codes.OK, answer.text


async def check_the_data_is_kept(running: "UpProcess") -> None:
    async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S) as client:
        items = (await client.get(f"{running.url('stock')}/v1/items")).json()["items"]
        await log_in(client, running, demo_data.STUDENTS[1])
    assert len(items) == len(demo_data.MENU)
    assert "Sehri Box" in {item["name"] for item in items}


def check_no_command_line_contains_a_secret(running: "UpProcess", home: DataDirectory) -> None:
    lines = [" ".join(process.cmdline()) for process in running.children()]
    assert len(lines) > len(SERVICES)
    assert not [secret for secret in secrets_of(home) for line in lines if secret in line]


def check_no_output_contains_a_secret(running: "UpProcess", home: DataDirectory) -> None:
    written = [running.output, *(log.read_text() for log in home.logs.iterdir())]
    assert not [secret for secret in secrets_of(home) for text in written if secret in text]


def secrets_of(home: DataDirectory) -> list[str]:
    files = Credentials(home.secrets).folder.iterdir()
    return [line for file in files for line in file.read_text().split() if len(line) > 20]


async def check_a_killed_service_restarts(running: "UpProcess", wait_until: WaitUntil) -> None:
    killed = running.child("cafeteria.stock")
    killed.kill()
    async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S) as client:

        async def is_back() -> bool:
            try:
                answer = await client.get(f"{running.url('stock')}/health/ready")
            except httpx.HTTPError:
                return False
            return answer.status_code == httpx.codes.OK

        await wait_until(lambda: not is_alive(killed))
        await wait_until(is_back, timeout_s=60)
    assert running.child("cafeteria.stock").pid != killed.pid
    await running.prints("stock ended (SIGKILL), it is started again")


async def check_a_second_stack_is_refused(up: "Up", home: DataDirectory) -> None:
    async with up(home) as second:
        assert await second.exit_code() == 1
    assert "A stack is running on" in second.output
    assert "Traceback" not in second.output


async def check_a_reset_is_refused(home: DataDirectory) -> None:
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


async def check_ctrl_c_ends_all_processes(running: "UpProcess") -> None:
    """A terminal signals the supervisor's process group; the services, which the supervisor stops in order, are in others."""
    children = running.children()
    group = os.getpgid(running.process.pid)
    assert group != os.getpgid(running.child("cafeteria.kitchen").pid)
    started = time.monotonic()
    os.killpg(group, signal.SIGINT)
    assert await running.exit_code() == 0
    assert time.monotonic() - started < STOP_WITHIN_S
    assert SERVICE_GRACE_S + SERVER_GRACE_S < STOP_BUDGET_S
    assert not [process for process in children if is_alive(process)]
    assert "stopping" in running.output
    assert "stopped: services and servers have ended" in running.output
    assert str(running.home.root) in running.output.splitlines()[-1]


async def check_a_killed_supervisor_leaves_no_process(running: "UpProcess", wait_until: WaitUntil) -> None:
    children = running.children()
    running.process.kill()
    await wait_until(lambda: not [each for each in children if is_alive(each)])
