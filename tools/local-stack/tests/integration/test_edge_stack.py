"""The real services behind the edge: what a browser does there, and what happens when the edge or a service ends."""

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest

from cafeteria.contracts import subjects
from cafeteria.local_stack.data_directory import temporary_data_directory
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.stack import Stack
from cafeteria.provisioning import demo_data
from cafeteria.provisioning.plain_http import plain_http

WaitUntil = Callable[..., Any]
STATUSES = ["PENDING", "STOCK_VERIFIED", "IN_KITCHEN", "READY"]
BACK_WITHIN_S = 20
FAILURES = 3


@pytest.fixture(scope="module")
async def stack(fork_server: ForkServer) -> AsyncIterator[Stack]:
    with temporary_data_directory() as home:
        plan = Plan(
            with_edge=True,
            fork_server=fork_server,
            service_environments={
                "kitchen": {"KITCHEN_PREP_MIN_S": "0", "KITCHEN_PREP_MAX_S": "0"},
                "identity": {"IDENTITY_FAILURES_PER_CLIENT": str(FAILURES)},
            },
        )
        async with Stack(home, plan) as running:
            yield running


def browser(stack: Stack, who: str = "Students", **options: Any) -> httpx.AsyncClient:
    """A client with cookies that names its page's origin, as browsers do. `localhost` is reached without DNS."""
    page = httpx.URL(stack.pages[who])
    headers = {"Host": page.netloc.decode(), "Origin": f"{page.scheme}://{page.netloc.decode()}"}
    return plain_http(base_url=stack.url("edge"), timeout_s=20, headers=headers, **options)


async def sign_in(web: httpx.AsyncClient, account: str) -> None:
    body = {"student_id": account, "password": demo_data.PASSWORD, "cookie": True}
    answer = await web.post("/v1/login", json=body)
    assert answer.status_code == httpx.codes.OK, answer.text


async def order(web: httpx.AsyncClient) -> httpx.Response:
    dish = (await web.get("/v1/menu")).json()["items"][0]
    body = {"lines": [{"item_id": dish["item_id"], "quantity": 1}]}
    return await web.post("/v1/orders", json=body, headers={"Idempotency-Key": str(uuid4())})


async def test_a_browser_signs_in_orders_and_follows_the_order(stack: Stack) -> None:
    async with browser(stack) as web:
        await sign_in(web, demo_data.STUDENTS[0])
        assert (await web.get("/v1/me")).json()["student_id"] == demo_data.STUDENTS[0]
        answer = await order(web)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        assert answer.headers["x-request-id"]
        order_id = answer.json()["id"]
        async with asyncio.timeout(30):
            assert await statuses(web, order_id) == STATUSES


async def statuses(web: httpx.AsyncClient, order_id: str) -> list[str]:
    found: list[str] = []
    async with web.stream("GET", f"/v1/orders/{order_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                found.append(json.loads(line.removeprefix("data:"))["status"])
            if found[-1:] == STATUSES[-1:]:
                break
    return found


@pytest.mark.parametrize("who", ["Kitchen", "Operator"])
async def test_staff_sign_in_on_their_own_host(stack: Stack, who: str) -> None:
    account = {"Kitchen": demo_data.KITCHEN, "Operator": demo_data.OPERATOR}[who]
    async with browser(stack, who) as web:
        await sign_in(web, account)
        answer = await web.get("/v1/tickets")
        assert answer.status_code == httpx.codes.OK, answer.text
        assert (await web.post("/v1/logout")).status_code == httpx.codes.NO_CONTENT


async def test_a_page_of_another_origin_changes_nothing(stack: Stack) -> None:
    async with browser(stack) as web:
        await sign_in(web, demo_data.STUDENTS[1])
        web.headers["Origin"] = "http://evil.localhost:8080"
        assert (await order(web)).status_code == httpx.codes.FORBIDDEN


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
async def test_login_limits_see_the_browser_and_not_the_edge(stack: Stack) -> None:
    """Were the edge the client, the failures of one would refuse the other. What a client says of itself is dropped."""
    async with browser(stack, transport=httpx.AsyncHTTPTransport(local_address="127.0.0.2")) as web:
        for number in range(FAILURES + 1):  # each at another account, which has limits of its own
            guess = {"student_id": demo_data.STUDENTS[-1 - number], "password": "wrong-password-1"}
            answer = await web.post("/v1/login", json=guess, headers={"X-Forwarded-For": f"10.0.0.{number}"})
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS, (
        "an address that the client invented was counted"
    )
    async with browser(stack, transport=httpx.AsyncHTTPTransport(local_address="127.0.0.3")) as web:
        await sign_in(web, demo_data.STUDENTS[3])


async def test_the_connections_of_the_edge_are_not_one_clients(stack: Stack) -> None:
    for service in subjects.SERVICES:
        environment = stack.environment_of(service)
        assert environment["CAFETERIA_TRUSTED_PROXIES"] == "127.0.0.1"
        assert environment["CAFETERIA_PAGES_URL"] == stack.pages["Students"]


async def test_what_operators_read_is_not_there(stack: Stack) -> None:
    async with browser(stack) as web:
        for path in ("/metrics", "/health/ready", "/schema", "/schema/openapi.json"):
            assert (await web.get(path)).status_code == httpx.codes.NOT_FOUND


async def test_a_dead_service_is_told_from_the_others_and_returns(
    stack: Stack, wait_until: WaitUntil
) -> None:
    async with browser(stack) as web:
        await stack.stop("stock")
        answer = await web.get("/v1/items")
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert answer.json()["type"] == "/problems/unavailable"
        assert (await web.get("/v1/menu")).status_code == httpx.codes.OK
        await stack.start("stock")
        assert (await web.get("/v1/items")).status_code == httpx.codes.OK


async def test_a_killed_edge_returns_at_the_same_address(stack: Stack, wait_until: WaitUntil) -> None:
    async with browser(stack) as web:
        await sign_in(web, demo_data.STUDENTS[4])
        first = stack.pid("edge")
        stack.kill("edge", signal.SIGKILL)
        async with asyncio.timeout(BACK_WITHIN_S):
            await stack.ready("edge")
        assert stack.pid("edge") != first
        assert (await order(web)).status_code == httpx.codes.CREATED


async def test_it_stops_in_time_with_streams_open(fork_server: ForkServer, wait_until: WaitUntil) -> None:
    with temporary_data_directory() as home:
        running = Stack(home, Plan(with_edge=True, fork_server=fork_server))
        async with running:
            async with browser(running) as web:
                await sign_in(web, demo_data.STUDENTS[0])
                cookies = web.cookies
            streams = [asyncio.create_task(read_to_its_end(running, cookies)) for _ in range(10)]
            await wait_until(lambda: all_open(running), timeout_s=20)
            started = time.monotonic()
        assert time.monotonic() - started < 5
        assert not running.is_running("edge")
        await asyncio.wait_for(asyncio.gather(*streams), 10)


async def read_to_its_end(stack: Stack, cookies: httpx.Cookies) -> None:
    async with browser(stack, cookies=cookies) as web, web.stream("GET", "/v1/events") as answer:
        assert answer.status_code == httpx.codes.OK
        with suppress(httpx.RemoteProtocolError):  # cut off after the grace period
            await answer.aread()


async def all_open(stack: Stack) -> bool:
    async with plain_http(timeout_s=5) as client:
        text = (await client.get(f"{stack.url('notification')}/metrics")).text
    return re.search(r"^cafeteria_event_streams(\{.*\})? 10\.0$", text, re.MULTILINE) is not None
