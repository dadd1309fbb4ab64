"""The stack starts, restarts, freezes and stops its processes as end-to-end tests and fault injection need it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from cafeteria.contracts import subjects
from cafeteria.local_stack.data_directory import DataDirectory, temporary_data_directory
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.stack import Stack
from cafeteria.provisioning import demo_data
from cafeteria.provisioning.plain_http import plain_http

WaitUntil = Callable[..., Any]


@pytest.fixture(scope="module")
async def stack(fork_server: ForkServer) -> AsyncIterator[Stack]:
    """One stack for all tests, because a start takes seconds."""
    with temporary_data_directory() as home:
        plan = Plan(
            replicas={"gateway": 2},
            service_environments={"kitchen": {"KITCHEN_PREP_MAX_S": "3"}},
            fork_server=fork_server,
        )
        async with Stack(home, plan) as running:
            yield running


async def get(url: str, *, timeout_s: float = 20) -> httpx.Response:
    async with plain_http(timeout_s=timeout_s) as client:
        return await client.get(url)


async def test_every_replica_has_its_own_address(stack: Stack) -> None:
    assert set(stack.names) == {*subjects.SERVICES, "gateway-2", "postgres", "nats"}
    assert stack.url("gateway") != stack.url("gateway-2")
    for member in ("gateway", "gateway-2"):
        menu = (await get(f"{stack.url(member)}/v1/menu")).json()
        assert len(menu["items"]) == len(demo_data.MENU)


async def test_a_killed_process_restarts(stack: Stack) -> None:
    first = stack.pid("gateway-2")
    stack.kill("gateway-2", signal.SIGKILL)
    await stack.ready("gateway-2")
    assert stack.pid("gateway-2") != first


async def test_a_stopped_process_stays_down_until_a_start_with_its_new_environment(
    stack: Stack, wait_until: WaitUntil
) -> None:
    await stack.stop("kitchen")
    assert not stack.is_running("kitchen")
    with pytest.raises(httpx.TransportError):
        await get(f"{stack.url('kitchen')}/health/live")
    stack.environments["kitchen"]["KITCHEN_MODE"] = "manual"
    await stack.start("kitchen")
    assert (await get(f"{stack.url('kitchen')}/v1/load")).status_code == httpx.codes.UNAUTHORIZED
    assert "service_stopped" in stack.log("kitchen")
    await wait_until(
        lambda: stack.log("kitchen").count("service_started") == 2
    )  # it is ready a moment before it logs


async def test_a_frozen_process_does_not_answer_and_then_continues(stack: Stack) -> None:
    url = f"{stack.url('notification')}/health/live"
    with stack.frozen("notification"), pytest.raises(httpx.TimeoutException):
        await get(url, timeout_s=2)
    assert (await get(url)).status_code == httpx.codes.OK


async def test_freezing_postgres_also_freezes_its_sessions(stack: Stack, wait_until: WaitUntil) -> None:
    """A service that has closed its sessions in the meantime needs a moment for new ones."""
    url = f"{stack.url('stock')}/v1/items"

    async def answers() -> bool:
        return (await get(url)).status_code == httpx.codes.OK

    with stack.frozen("postgres"), pytest.raises(httpx.TimeoutException):
        await get(url, timeout_s=1)
    await wait_until(answers)


async def test_a_lost_store_is_restored_without_a_restart_of_services(
    stack: Stack, wait_until: WaitUntil
) -> None:
    pids = {name: stack.pid(name) for name in subjects.SERVICES}
    await stack.wipe_nats()

    async def all_ready() -> bool:
        urls = [f"{stack.url(name)}/health/ready" for name in subjects.SERVICES]
        answers = await asyncio.gather(*(get(url) for url in urls), return_exceptions=True)
        return all(
            isinstance(answer, httpx.Response) and answer.status_code == httpx.codes.OK for answer in answers
        )

    async def durables_exist() -> bool:
        page = (await get(f"{stack.servers.monitor_url}/jsz?streams=1&consumers=1")).json()
        streams = [
            each for account in page.get("account_details", []) for each in account.get("stream_detail", [])
        ]
        durables = [each["name"] for stream in streams for each in stream.get("consumer_detail", [])]
        return {each.name for each in subjects.DURABLES} <= set(durables)

    await wait_until(durables_exist, timeout_s=20)
    await wait_until(all_ready, timeout_s=20)
    assert {name: stack.pid(name) for name in subjects.SERVICES} == pids


async def test_services_do_not_receive_the_administrators_password(stack: Stack, home: DataDirectory) -> None:
    administrator = stack.servers.credentials.postgres_password("admin")
    for name in subjects.SERVICES:
        environment = stack.environment_of(name)
        assert administrator not in "".join(environment.values())
        assert environment["CAFETERIA_POSTGRES_URL"].startswith("postgresql://127.0.0.1:")
        assert environment["CAFETERIA_HOME"] == str(stack.home.root)
