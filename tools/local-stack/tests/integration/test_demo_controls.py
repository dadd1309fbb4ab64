"""The demo controls of a real stack: each switch for each kind of member, also while others are away."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.subjects import SERVICES
from cafeteria.contracts.values import Role
from cafeteria.local_stack import crowd
from cafeteria.local_stack.data_directory import temporary_data_directory
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.stack import Stack
from cafeteria.provisioning.demo_data import PASSWORD
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.testkit.tokens import Tokens

WaitUntil = Callable[..., Any]

KINDS = pytest.mark.parametrize("name", ["gateway-2", "stock", "postgres", "nats"])
"""A replica, a service, and both servers."""
SWITCHED_S = 30.0
STOP_S = 5.0


@pytest.fixture(scope="module")
async def stack(fork_server: ForkServer) -> AsyncIterator[Stack]:
    with temporary_data_directory() as home:
        plan = Plan(replicas={"gateway": 2}, fork_server=fork_server, with_demo_controls=True, with_edge=True)
        async with Stack(home, plan) as running:
            yield running


class Page:
    """The demo part of the operator's page."""

    def __init__(self, stack: Stack, client: httpx.AsyncClient, *, ends_in: timedelta) -> None:
        self._client = client
        tokens = Tokens(stack.servers.credentials.signing_key_file)
        token = tokens.sign("operator-1", Role.OPERATOR, lifetime=ends_in)
        self._headers = {
            "Cookie": f"cafeteria_access={token}",
            "Origin": f"http://{stack.demo_address}",
        }

    async def read(self) -> dict[str, Any]:
        return await self._answered(self._client.get("/demo"), 200)

    async def member(self, name: str) -> dict[str, Any]:
        [found] = [each for each in (await self.read())["members"] if each["name"] == name]
        return dict(found)

    async def state(self, name: str) -> str:
        return str((await self.member(name))["state"])

    async def switch(self, name: str, action: str, *, status: int = 200) -> dict[str, Any]:
        sent = self._client.post(f"/demo/members/{name}/{action}", headers=self._headers)
        return await self._answered(sent, status)

    async def set_kitchen(self, mode: str) -> dict[str, Any]:
        sent = self._client.put("/demo/kitchen", json={"mode": mode}, headers=self._headers)
        return await self._answered(sent, 200)

    async def start_crowd(self, *, status: int = 202) -> dict[str, Any]:
        sent = self._client.post("/demo/crowd", json={"students": 1}, headers=self._headers)
        return await self._answered(sent, status)

    async def _answered(self, sent: Any, status: int) -> dict[str, Any]:
        answer: httpx.Response = await sent
        assert answer.status_code == status, answer.text
        return dict(answer.json())


@pytest.fixture
async def page(stack: Stack) -> AsyncIterator[Page]:
    async with plain_http(timeout_s=20, base_url=f"http://{stack.demo_address}") as client:
        yield Page(stack, client, ends_in=timedelta(minutes=15))


@pytest.fixture(autouse=True)
async def everything_runs_again(page: Page, wait_until: WaitUntil) -> AsyncIterator[None]:
    yield
    for each in (await page.read())["members"]:
        await page.switch(each["name"], "on")

    async def all_run() -> bool:
        return {each["state"] for each in (await page.read())["members"]} == {"running"}

    await wait_until(all_run)


async def test_all_members_are_listed_and_no_secret(stack: Stack, page: Page) -> None:
    demo = await page.read()
    assert {each["name"] for each in demo["members"]} == {*SERVICES, "gateway-2", "postgres", "nats"}
    for each in demo["members"]:
        assert (each["state"], each["pid"]) == ("running", stack.pid(each["name"]))
        assert datetime.fromisoformat(each["since"]) <= now()
    assert (demo["kitchen_mode"], demo["can_crowd"], demo["crowd"]) == ("auto", True, None)
    secrets = (path.read_text().strip() for path in stack.servers.credentials.files)
    assert not any(secret in str(demo) for secret in secrets)


@KINDS
async def test_a_member_that_is_switched_off_stays_away(
    stack: Stack, page: Page, wait_until: WaitUntil, name: str
) -> None:
    before = await page.member(name)
    [after] = [each for each in (await page.switch(name, "off"))["members"] if each["name"] == name]
    assert (after["state"], after["pid"], after["restarts"]) == ("stopped", None, before["restarts"])
    assert after["since"] > before["since"]
    await page.switch(name, "off")
    assert await page.state(name) == "stopped"
    await page.switch(name, "on")
    await wait_until(lambda: _runs(page, name), timeout_s=SWITCHED_S)
    assert stack.pid(name) != before["pid"]


@KINDS
async def test_a_killed_member_comes_back_by_itself(page: Page, wait_until: WaitUntil, name: str) -> None:
    before = await page.member(name)
    await page.switch(name, "kill")

    async def is_back() -> bool:
        member = await page.member(name)
        return bool(member["state"] == "running" and member["restarts"] > before["restarts"])

    await wait_until(is_back, timeout_s=SWITCHED_S)
    assert (await page.member(name))["pid"] != before["pid"]


@KINDS
@pytest.mark.parametrize("way", ["thaw", "on", "kill", "off"])
async def test_a_frozen_member_is_thawed_or_replaced(
    page: Page, wait_until: WaitUntil, name: str, way: str
) -> None:
    before = await page.member(name)
    await page.switch(name, "freeze")
    await page.switch(name, "freeze")
    assert await page.state(name) == "frozen"
    await page.switch(name, way)
    if way == "off":
        assert await page.state(name) == "stopped"
        await page.switch(name, "on")
    await wait_until(lambda: _runs(page, name), timeout_s=SWITCHED_S)
    is_the_same = (await page.member(name))["pid"] == before["pid"]
    assert is_the_same == (way in {"thaw", "on"})


async def _runs(page: Page, name: str) -> bool:
    return await page.state(name) == "running"


@pytest.mark.parametrize("action", ["kill", "freeze"])
async def test_what_needs_a_process_is_refused_where_none_runs(page: Page, action: str) -> None:
    await page.switch("stock", "off")
    problem = await page.switch("stock", action, status=409)
    assert problem["detail"] == "stock does not run. Switch it on first. Nothing was done."
    await page.switch("stock", "thaw")
    assert await page.state("stock") == "stopped"


async def test_a_service_that_is_switched_on_waits_for_what_it_needs(
    page: Page, wait_until: WaitUntil
) -> None:
    """Without Postgres it cannot be ready. It does not give up."""
    await page.switch("postgres", "off")
    await page.switch("stock", "off")
    await page.switch("stock", "on")
    assert await page.state("stock") == "starting"
    await page.switch("postgres", "on")
    await wait_until(lambda: _runs(page, "stock"), timeout_s=SWITCHED_S)


@pytest.mark.parametrize("name", ["edge", "supervisor", "stack", "stock-2", "secrets"])
async def test_what_is_no_member_is_not_found(page: Page, name: str) -> None:
    problem = await page.switch(name, "off", status=404)
    assert "nats" in problem["detail"]


@pytest.mark.parametrize("action", ["stop", "restart", "OFF"])
async def test_what_is_no_switch_is_not_found(page: Page, action: str) -> None:
    problem = await page.switch("stock", action, status=404)
    assert "off, on, kill, freeze, thaw" in problem["detail"]


async def test_everything_works_while_identity_is_dead_and_the_token_has_expired(
    stack: Stack, page: Page, wait_until: WaitUntil
) -> None:
    await page.switch("identity", "off")
    async with plain_http(timeout_s=20, base_url=f"http://{stack.demo_address}") as client:
        later = Page(stack, client, ends_in=timedelta(hours=-2))
        await later.switch("stock", "off")
        assert await later.state("stock") == "stopped"
        await later.switch("identity", "on")
        await wait_until(lambda: _runs(later, "identity"), timeout_s=SWITCHED_S)


async def test_an_operator_signs_in_at_the_edge_and_switches_identity_off_and_on(
    stack: Stack, page: Page, wait_until: WaitUntil
) -> None:
    """As a browser does, whose access cookie is gone while identity cannot give it another."""
    address = stack.pages["Operator"]
    host = address.removeprefix("http://")
    credentials = {"student_id": "operator-1", "password": PASSWORD, "cookie": True}
    async with plain_http(timeout_s=20, base_url=stack.url("edge"), headers={"Host": host}) as browser:
        signed_in = await browser.post("/v1/login", json=credentials, headers={"Origin": address})
        assert signed_in.status_code == 200
        access = signed_in.cookies["cafeteria_access"]
        asked = await browser.get("/demo", headers={"Cookie": f"cafeteria_access={access}"})
        kept = {"Cookie": f"cafeteria_demo={asked.cookies['cafeteria_demo']}", "Origin": address}
        for action, state in (("off", "stopped"), ("on", "starting")):
            answer = await browser.post(f"/demo/members/identity/{action}", headers=kept)
            assert answer.status_code == 200
            members = {each["name"]: each["state"] for each in answer.json()["members"]}
            assert members["identity"] == state or (action, members["identity"]) == ("on", "running")
    await wait_until(lambda: _runs(page, "identity"), timeout_s=SWITCHED_S)


@pytest.mark.parametrize("host", ["canteen.example", "192.0.2.1:8080"])
async def test_the_edge_leads_nobody_elsewhere_to_the_controls(stack: Stack, host: str) -> None:
    async with plain_http(timeout_s=20, base_url=stack.url("edge")) as client:
        assert (await client.get("/demo")).status_code == 200
        assert (await client.get("/demo", headers={"Host": host})).status_code == 404


async def test_two_switches_of_one_member_take_turns(page: Page) -> None:
    await asyncio.gather(*(page.switch("kitchen", action) for action in ("off", "on") * 3))
    assert await page.state("kitchen") in {"starting", "running", "stopped"}


async def test_people_cook_or_the_kitchen_by_itself(stack: Stack, page: Page, wait_until: WaitUntil) -> None:
    cooking = stack.pid("kitchen")
    assert (await page.set_kitchen("auto"))["kitchen_mode"] == "auto"
    assert stack.pid("kitchen") == cooking
    assert (await page.set_kitchen("manual"))["kitchen_mode"] == "manual"
    await wait_until(lambda: _runs(page, "kitchen"), timeout_s=SWITCHED_S)
    assert stack.pid("kitchen") != cooking
    assert stack.environment_of("kitchen")["KITCHEN_MODE"] == "manual"
    await page.switch("kitchen", "off")
    await page.set_kitchen("auto")
    assert await page.state("kitchen") == "stopped"


async def test_without_its_program_there_is_no_crowd(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    for absent in ("cafeteria.absent.visitors", "cafeteria.contracts.absent"):
        monkeypatch.setattr(crowd, "PROGRAM", absent)
        problem = await page.start_crowd(status=404)
        assert "not installed" in problem["detail"]
        demo = await page.read()
        assert (demo["can_crowd"], demo["crowd"]) == (False, None)


async def test_a_crowd_that_fails_says_where_its_reason_is(
    stack: Stack,
    page: Page,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(crowd, "PROGRAM", "cafeteria.local_stack")  # it misses its argument
    await page.start_crowd()

    async def is_over() -> bool:
        return bool((await page.read())["crowd"]["state"] == "ended")

    await wait_until(is_over)
    assert (await page.read())["crowd"]["lost"] is None
    assert "ended with code 2: the end of logs/crowd.log says why" in caplog.text
    assert "required: command" in (stack.home.logs / "crowd.log").read_text()
    await page.start_crowd()  # the failed one is in nobody's way
    await wait_until(is_over)


async def test_a_stack_with_frozen_members_stops_in_time(fork_server: ForkServer) -> None:
    with temporary_data_directory() as home:
        stack = Stack(home, Plan(fork_server=fork_server, with_demo_controls=True))
        async with stack:
            for name in ("postgres", "nats", "stock"):
                await stack.member(name).freeze()
            began = time.monotonic()
        assert time.monotonic() - began < STOP_S
        assert not any(stack.is_running(name) for name in stack.names)


async def test_without_demo_controls_a_stack_has_no_address_for_them(tmp_path: Path) -> None:
    assert Stack(tmp_path).demo_address == ""
    assert not Plan(host="192.0.2.1", with_demo_controls=True).has_demo_controls
