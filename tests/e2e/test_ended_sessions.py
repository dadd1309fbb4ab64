"""Within two seconds of the end of a session all five services refuse its tokens, and its event streams end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp
import msgspec
import pytest

from cafeteria.local_stack.plan import service_of
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import RunningStack

PASSWORD = "iftar-rush-2026"
REFUSED_WITHIN_S = 2.0
GUARDED = {
    "gateway": "/v1/orders",
    "identity": "/v1/me",
    "stock": f"/v1/items/{uuid4()}/transactions",
    "kitchen": "/v1/load",
    "notification": "/v1/notifications",
}


class Device:
    """A signed-in client of every service of the stack."""

    def __init__(self, stack: "RunningStack", student_id: str, tokens: dict[str, Any]) -> None:
        self._stack = stack
        self.student_id = student_id
        self.tokens = tokens
        self.header = {"Authorization": f"Bearer {tokens['access_token']}"}

    @property
    def processes(self) -> list[str]:
        return [name for name in self._stack.processes.names if service_of(name) in GUARDED]

    async def status(self, process: str) -> int:
        url = f"{self._stack.processes.url(process)}{GUARDED[service_of(process)]}"
        async with self._stack.http.get(url, headers=self.header) as answer:
            return answer.status

    async def is_refused_by(self, *processes: str) -> bool:
        return set(await asyncio.gather(*map(self.status, processes))) == {401}

    async def is_accepted_everywhere(self) -> bool:
        """A service answers a student 200, or 403 where only others may read."""
        return set(await asyncio.gather(*map(self.status, self.processes))) <= {200, 403, 404}

    async def refresh(self) -> int:
        body = {"refresh_token": self.tokens["refresh_token"]}
        return (await post(self._stack, "/v1/token/refresh", body))[0]


async def post(stack: "RunningStack", path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    url = f"{stack.processes.url('identity')}{path}"
    headers = {"Content-Type": "application/json"}
    async with stack.http.post(url, data=msgspec.json.encode(body), headers=headers) as answer:
        return answer.status, msgspec.json.decode(await answer.read() or b"{}")


async def signed_in(stack: "RunningStack") -> Device:
    student_id = (await stack.student()).student_id
    status, tokens = await post(stack, "/v1/login", {"student_id": student_id, "password": PASSWORD})
    assert status == 200, tokens
    device = Device(stack, student_id, tokens)
    await until(device.is_accepted_everywhere)
    return device


async def log_out(stack: "RunningStack", device: Device) -> None:
    body = {"refresh_token": device.tokens["refresh_token"]}
    assert (await post(stack, "/v1/logout", body))[0] == 204


async def end_by_operator(stack: "RunningStack", device: Device) -> None:
    operator = await stack.account("operator-1")
    url = f"{stack.processes.url('identity')}/v1/students/{device.student_id}/sessions"
    async with stack.http.delete(url, headers=operator.authorization) as answer:
        assert answer.status == 204


async def disable(stack: "RunningStack", device: Device) -> None:
    async with stack.database() as connection:
        await connection.execute(
            "UPDATE identity.users SET disabled_at = now() WHERE student_id = $1", device.student_id
        )
    await end_by_operator(stack, device)


async def end_on_another_device(stack: "RunningStack", device: Device) -> None:
    """The device that is signed in later ends the earlier one."""
    _, tokens = await post(stack, "/v1/login", {"student_id": device.student_id, "password": PASSWORD})
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    url = f"{stack.processes.url('identity')}/v1/me/sessions"
    async with stack.http.get(url, headers=header) as answer:
        items = msgspec.json.decode(await answer.read())["items"]
    assert [item["is_current"] for item in items] == [True, False, False]
    async with stack.http.delete(f"{url}/{items[1]['id']}", headers=header) as answer:
        assert answer.status == 204


@asynccontextmanager
async def open_streams(stack: "RunningStack", device: Device) -> AsyncIterator[list[aiohttp.ClientResponse]]:
    """One stream of each replica of notification."""
    async with AsyncExitStack() as responses:
        yield [
            await responses.enter_async_context(
                stack.http.get(
                    f"{url}/v1/events", headers=device.header, timeout=aiohttp.ClientTimeout(total=None)
                )
            )
            for url in stack.urls.notifications
        ]


@pytest.mark.parametrize("end", [log_out, end_by_operator, disable, end_on_another_device])
async def test_an_ended_session_is_refused_everywhere_within_two_seconds(
    stack: "RunningStack", end: Callable[["RunningStack", Device], Awaitable[None]]
) -> None:
    device = await signed_in(stack)
    async with open_streams(stack, device) as streams:
        assert {stream.status for stream in streams} == {200}
        await end(stack, device)
        ended_at = monotonic()
        async with asyncio.timeout(REFUSED_WITHIN_S):
            await until(lambda: device.is_refused_by(*device.processes))
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + left_s(ended_at)):
            await asyncio.gather(*(stream.read() for stream in streams))
    assert await device.refresh() == 401


def left_s(since: float) -> float:
    return REFUSED_WITHIN_S - (monotonic() - since)


async def test_a_session_that_ended_while_a_service_was_away_is_refused_when_it_is_back(
    stack: "RunningStack",
) -> None:
    device, away = await signed_in(stack), ("kitchen", "stock-2", "gateway-2", "notification-2")
    for name in away:
        await stack.processes.stop(name)
    await log_out(stack, device)
    for name in away:
        await stack.processes.start(name)
    for name in away:
        await stack.processes.ready(name)
        assert await device.status(name) == 401
    assert await device.refresh() == 401


async def test_a_session_that_ended_while_nats_was_away_is_refused_when_it_is_back(
    stack: "RunningStack",
) -> None:
    """Meanwhile the services keep the keys and the ended sessions that they know."""
    earlier, device = await signed_in(stack), await signed_in(stack)
    await log_out(stack, earlier)
    await until(lambda: earlier.is_refused_by(*earlier.processes))
    await stack.processes.stop("nats")
    try:
        await log_out(stack, device)
        await until(lambda: device.is_refused_by("identity"))
        assert await device.status("notification") == 200
        assert await earlier.is_refused_by(*earlier.processes)
    finally:
        await stack.processes.start("nats")
    await stack.processes.ready("nats")
    await until(lambda: device.is_refused_by(*device.processes))


async def test_an_ended_session_is_refused_by_an_identity_that_has_restarted(stack: "RunningStack") -> None:
    device = await signed_in(stack)
    await log_out(stack, device)
    await stack.processes.restart("identity")
    await stack.processes.ready("identity")
    assert await device.is_refused_by(*device.processes)
    assert await device.refresh() == 401
