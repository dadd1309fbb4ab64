"""A stream ends when its token expires, when the process stops, and when its client does not read."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import msgspec
import pytest

from cafeteria.contracts.identity import Revocation, SessionsRevoked
from cafeteria.contracts.subjects import IDENTITY, NOTIFICATION, SESSIONS_REVOKED
from cafeteria.contracts.values import OrderStatus, Role
from cafeteria.notification.sse_hub import HEARTBEAT_S
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers
from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import MakeOrder, Notification, OpenNotification, Watcher


STUDENT = "210041101"
PATH = (OrderStatus.PENDING, OrderStatus.STOCK_VERIFIED, OrderStatus.IN_KITCHEN, OrderStatus.READY)
QUIET_LEVELS = ('"level":"debug"', '"level":"info"')


async def test_a_stream_ends_when_its_token_expires(notification: Notification, tokens: Tokens) -> None:
    brief = tokens.sign(STUDENT, Role.STUDENT, lifetime=timedelta(seconds=2))
    async with notification.watch(token=brief) as watcher, notification.watch() as lasting:
        await asyncio.wait_for(watcher.ended.wait(), 20)
        assert not lasting.ended.is_set()


async def test_the_streams_of_an_ended_session_end_and_their_places_are_free(
    notification: Notification, tokens: Tokens, servers: FixtureServers
) -> None:
    """The client connects again, and is refused; the student's other device goes on."""
    session = uuid4()
    token = tokens.sign(STUDENT, Role.STUDENT, session=session)
    until_then = datetime.now(UTC) + timedelta(minutes=15)
    ended = SessionsRevoked(revocations=(Revocation(session=session, until=until_then),))
    async with (
        notification.watch(token=token) as first,
        notification.watch(f"/v1/orders/{uuid4()}/events", token=token) as second,
        notification.watch() as lasting,
        servers.bus_as(IDENTITY) as identity,
    ):
        await until(lambda: has_streams(notification, 3))
        await identity.publish(SESSIONS_REVOKED.subject, msgspec.json.encode(ended))
        await identity.flush()
        async with asyncio.timeout(2):
            await asyncio.gather(first.ended.wait(), second.ended.wait())
        await until(lambda: has_streams(notification, 1))
        assert not lasting.ended.is_set()
    async with httpx.AsyncClient(base_url=notification.urls[0], headers=tokens.header(token)) as again:
        answer = await again.get("/v1/events")
    assert answer.status_code == 401
    assert answer.json()["detail"] == "This session was ended: sign in again."


async def has_streams(notification: Notification, number: int) -> bool:
    return await notification.open_streams() == number


async def test_a_stream_gets_heartbeats(notification: Notification) -> None:
    follow_events = notification.apps[0].state.service.follow_events
    async with notification.watch() as watcher:
        await until(lambda: watcher.last_id)
        for _ in range(HEARTBEAT_S):  # as the job does once a second
            await follow_events.keep_alive()
        await until(lambda: watcher.comments)


async def test_a_client_that_does_not_read_is_closed_and_resumes(
    notification: Notification, make_order: MakeOrder
) -> None:
    stuck = connect_without_reading(notification)

    async def both_are_open() -> bool:
        return await notification.open_streams() == 2

    async with notification.watch() as watcher:
        try:
            await until(both_are_open)
            logged = 0
            while await both_are_open():
                logged += 1_000
                await notification.fill(1_000, student_id=STUDENT)
                other = make_order("210041199")
                # its push includes the filled rows
                await notification.publish(other.enters(OrderStatus.PENDING))
                await until(partial(has_shown, watcher, logged))
            async with notification.watch(last_event_id="0") as resumed:
                await until(lambda: len(resumed.events) >= logged)
                assert len({event.id for event in resumed.events}) == logged
            assert not watcher.ended.is_set()
        finally:
            stuck.close()


async def test_sigterm_ends_the_process_and_its_streams_and_logs_no_secret(
    open_notification: OpenNotification, service_process: StartProcess, make_order: MakeOrder, tokens: Tokens
) -> None:
    notification = await open_notification(replicas=0)
    process, url, first_lines = await service_process()
    notification.urls = [url]
    await until(lambda: is_ready(url), timeout_s=30)
    token = tokens.student()
    order = make_order()
    stuck = connect_without_reading(notification)
    async with (
        notification.watch(token=token) as first,
        notification.watch(token=token) as second,
        httpx.AsyncClient(base_url=url, cookies={"cafeteria_access": token}) as web,
    ):
        await notification.publish(*(order.enters(status) for status in PATH))
        await until(lambda: len(first.events) == len(second.events) == 4)
        assert (await web.get("/v1/notifications")).status_code == 200
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):  # a process that is cut off after three seconds logs it
            code = await process.wait()
            await asyncio.gather(first.ended.wait(), second.ended.wait())
    stuck.close()
    assert process.stdout is not None
    log = b"".join([*first_lines, await process.stdout.read()]).decode()
    assert code == 0, log
    lines = log.splitlines()
    assert any('"event":"batch_logged"' in line for line in lines)
    assert [line for line in lines if not any(level in line for level in QUIET_LEVELS)] == []
    for secret in (token, token.split(".")[2], "Bearer", os.environ.get("CAFETERIA_NATS_PASSWORD", "\0")):
        assert secret not in log


StartProcess = Callable[[], Awaitable[tuple[asyncio.subprocess.Process, str, list[bytes]]]]


@pytest.fixture
async def service_process(servers: FixtureServers) -> AsyncIterator[StartProcess]:
    """Start `python -m cafeteria.notification`; the process is killed at the end of the test if it still runs.

    Returns the process, its URL, and the log lines up to the one with the URL.
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


def has_shown(watcher: Watcher, events: int) -> bool:
    return len(watcher.events) >= events


def connect_without_reading(notification: Notification) -> socket.socket:
    """Open a stream with small buffers and never read it."""
    host, port = notification.urls[0].removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    client.sendall(
        f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {notification.tokens.student()}\r\n\r\n".encode()
    )
    return client
