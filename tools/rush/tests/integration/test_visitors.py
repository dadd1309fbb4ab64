"""A crowd that the demo controls of a real stack start orders through the edge: what it was promised is there in the end."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import psutil
import pytest

from cafeteria.local_stack.child import is_alive
from cafeteria.local_stack.data_directory import temporary_data_directory
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.stack import Stack
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.testkit.tokens import Tokens

WaitUntil = Callable[..., Any]

STUDENTS = 30
CROWD_S = 60.0
KITCHEN = {"KITCHEN_PREP_MIN_S": "0.2", "KITCHEN_PREP_MAX_S": "0.4"}


@pytest.fixture(scope="module")
async def stack(fork_server: ForkServer) -> AsyncIterator[Stack]:
    with temporary_data_directory() as home:
        plan = Plan(
            service_environments={"kitchen": KITCHEN},
            fork_server=fork_server,
            with_demo_controls=True,
            with_edge=True,
        )
        async with Stack(home, plan) as running:
            yield running


@pytest.fixture
async def operator(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with operator_of(stack) as operator:
        yield operator


def operator_of(stack: Stack) -> httpx.AsyncClient:
    url = f"http://{stack.demo_address}"
    token = Tokens(stack.servers.credentials.signing_key_file).operator()
    headers = {"Cookie": f"cafeteria_access={token}", "Origin": url}
    return plain_http(timeout_s=20, base_url=url, headers=headers)


async def crowd_of(operator: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await operator.get("/demo")).json()["crowd"])


async def start(operator: httpx.AsyncClient, **options: Any) -> dict[str, Any]:
    answer = await operator.post("/demo/crowd", json={"students": STUDENTS, **options})
    assert answer.status_code == 202, answer.text
    return dict(answer.json()["crowd"])


async def is_over(operator: httpx.AsyncClient) -> dict[str, Any] | None:
    crowd = await crowd_of(operator)
    return crowd if crowd["state"] == "ended" else None


async def test_a_crowd_orders_and_loses_nothing(operator: httpx.AsyncClient, wait_until: WaitUntil) -> None:
    begun = await start(operator, within_s=2)
    assert (begun["state"], begun["students"], begun["lost"]) == ("running", STUDENTS, None)
    another = await operator.post("/demo/crowd", json={"students": 1})
    assert another.status_code == 409
    assert "ordering already" in another.json()["detail"]
    ended = await wait_until(lambda: is_over(operator), timeout_s=CROWD_S)
    assert (ended["placed"], ended["accepted"], ended["ready"]) == (STUDENTS, STUDENTS, STUDENTS)
    assert (ended["received"], ended["refused"], ended["lost"]) == (0, 0, 0)
    assert 0 < ended["p50_ms"] <= ended["p95_ms"]


async def test_a_crowd_loses_nothing_when_stock_is_killed_in_the_middle(
    stack: Stack, operator: httpx.AsyncClient, wait_until: WaitUntil
) -> None:
    await start(operator, within_s=4)

    async def is_in_the_middle() -> bool:
        return 0 < (await crowd_of(operator))["placed"] < STUDENTS

    await wait_until(is_in_the_middle, timeout_s=CROWD_S)
    assert (await operator.post("/demo/members/stock/kill")).status_code == 200
    ended = await wait_until(lambda: is_over(operator), timeout_s=CROWD_S)
    assert ended["accepted"] + ended["refused"] == ended["placed"] == STUDENTS
    assert ended["lost"] == 0
    await stack.ready("stock")


async def test_a_crowd_that_is_stopped_asks_for_its_orders(
    stack: Stack, operator: httpx.AsyncClient, wait_until: WaitUntil
) -> None:
    await start(operator, within_s=60)

    async def has_order() -> bool:
        return bool((await crowd_of(operator))["accepted"])

    await wait_until(has_order, timeout_s=CROWD_S)
    assert (await operator.delete("/demo/crowd")).status_code == 200
    ended = await wait_until(lambda: is_over(operator), timeout_s=CROWD_S)
    assert 0 < ended["placed"] < STUDENTS
    assert ended["lost"] == 0
    assert (await operator.delete("/demo/crowd")).status_code == 200  # there is none any more


async def test_a_hot_crowd_wants_one_dish(
    stack: Stack, operator: httpx.AsyncClient, wait_until: WaitUntil
) -> None:
    async with plain_http(timeout_s=10) as client:
        before = (await client.get(f"{stack.url('gateway')}/v1/menu")).json()["items"]
        await start(operator, within_s=0, hot=True)
        ended = await wait_until(lambda: is_over(operator), timeout_s=CROWD_S)
        after = (await client.get(f"{stack.url('gateway')}/v1/menu")).json()["items"]
    sold = [old["available"] - new["available"] for old, new in zip(before, after, strict=True)]
    assert sorted(sold) == [0] * (len(sold) - 1) + [ended["accepted"]]


async def test_a_crowd_has_no_secret_in_its_arguments_and_ends_with_the_stack(
    fork_server: ForkServer, wait_until: WaitUntil
) -> None:
    with temporary_data_directory() as home:
        async with Stack(home, Plan(fork_server=fork_server, with_demo_controls=True)) as stack:
            async with operator_of(stack) as operator:
                await start(operator, within_s=60)
            [program] = await wait_until(programs)
            assert "visitor-001" not in " ".join(program.cmdline())
            assert not any(value.startswith("ey") for value in program.environ().values())
        await wait_until(lambda: not is_alive(program))


def programs() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [each for each in children if "cafeteria.rush.visitors" in each.cmdline()]
