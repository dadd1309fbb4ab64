"""How streams end: with their token, with the process, and when their reader takes nothing."""

import asyncio
import json
import os
import signal
import socket
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from cafeteria.contracts.subjects import NOTIFICATION
from cafeteria.contracts.values import OrderStatus, Role
from cafeteria.notification.views import HEARTBEAT_S

STUDENT = "210041101"
PATH = (OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED, OrderStatus.IN_KITCHEN, OrderStatus.READY)
QUIET_LEVELS = ('"level":"debug"', '"level":"info"')


async def test_a_stream_ends_when_its_token_expires(hall: Any, tokens: Any) -> None:
    brief = tokens.sign(STUDENT, Role.STUDENT, lifetime=timedelta(seconds=2))
    async with hall.watch(token=brief) as watcher, hall.watch() as lasting:
        await asyncio.wait_for(watcher.ended.wait(), 20)
        assert not lasting.ended.is_set()


async def test_a_stream_says_that_it_lives(hall: Any, wait_until: Any) -> None:
    hub = hall.apps[0].state.service._hub
    async with hall.watch() as watcher:
        await wait_until(lambda: watcher.last_id)
        for _ in range(HEARTBEAT_S):  # as the loop does once a second
            await hub.beat(now=datetime.now(UTC))
        await wait_until(lambda: watcher.comments)


async def test_a_reader_that_takes_nothing_is_closed_and_resumes(
    hall: Any, make_order: Any, wait_until: Any
) -> None:
    hub = hall.apps[0].state.service._hub
    stuck = connect_without_reading(hall)
    async with hall.watch() as watcher:
        try:
            await wait_until(lambda: len(hub._by_student.get(STUDENT, ())) == 2)
            told = 0
            while len(hub._by_student.get(STUDENT, ())) == 2:
                told += 1_000
                await hall.fill(1_000, student_id=STUDENT)
                await hall.tell(
                    make_order("210041199").enters(OrderStatus.PENDING)
                )  # pushes what was filled in
                await wait_until(lambda told=told: len(watcher.events) >= told)
            async with hall.watch(last_event_id="0") as resumed:
                await wait_until(lambda: len(resumed.events) >= told)
                assert len({event.id for event in resumed.events}) == told
            assert not watcher.ended.is_set()
        finally:
            stuck.close()


async def test_sigterm_ends_the_process_with_its_streams_and_the_log_keeps_every_secret(
    open_hall: Any, service_process: Any, make_order: Any, wait_until: Any, tokens: Any
) -> None:
    hall = await open_hall(services=0)
    process, url, first_lines = await service_process()
    hall.urls = [url]
    await wait_until(lambda: is_ready(url), timeout_s=30)
    token = tokens.student()
    order = make_order()
    stuck = connect_without_reading(hall)
    async with (
        hall.watch(token=token) as first,
        hall.watch(token=token) as second,
        httpx.AsyncClient(base_url=url, cookies={"cafeteria_access": token}) as web,
    ):
        await hall.tell(*(order.enters(status) for status in PATH))
        await wait_until(lambda: len(first.events) == len(second.events) == 4)
        assert (await web.get("/v1/notifications")).status_code == 200
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):  # one that is cut off after its three seconds says so in the log
            code = await process.wait()
            await asyncio.gather(first.ended.wait(), second.ended.wait())
    stuck.close()
    log = b"".join([*first_lines, await process.stdout.read()]).decode()
    assert code == 0, log
    lines = log.splitlines()
    assert any('"event":"batch_logged"' in line for line in lines)
    assert [line for line in lines if not any(level in line for level in QUIET_LEVELS)] == []
    for secret in (token, token.split(".")[2], "Bearer", os.environ.get("CAFETERIA_NATS_PASSWORD", "\0")):
        assert secret not in log


@pytest.fixture
async def service_process(servers: Any) -> Any:
    """Start `python -m cafeteria.notification`; killed with the test if it still runs.

    Gives the process, its URL, and the lines that it had logged when it said that.
    """
    processes: list[asyncio.subprocess.Process] = []

    async def start() -> tuple[asyncio.subprocess.Process, str, list[bytes]]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"cafeteria.{NOTIFICATION}",
            env={**os.environ, **servers.environment(NOTIFICATION)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        processes.append(process)
        return process, *await read_url(process)

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def read_url(process: asyncio.subprocess.Process) -> tuple[str, list[bytes]]:
    assert process.stdout is not None
    lines: list[bytes] = []
    async for line in process.stdout:
        lines.append(line)
        if b'"event":"service_started"' in line:
            return json.loads(line)["url"], lines
    raise AssertionError(lines)


async def is_ready(url: str) -> bool:
    async with httpx.AsyncClient() as web:
        try:
            return (await web.get(f"{url}/health/ready")).status_code == 200
        except httpx.TransportError:
            return False


def connect_without_reading(hall: Any) -> socket.socket:
    """A client whose buffers are small and who never looks at them."""
    host, port = hall.urls[0].removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    client.sendall(
        f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hall.tokens.student()}\r\n\r\n".encode()
    )
    return client
