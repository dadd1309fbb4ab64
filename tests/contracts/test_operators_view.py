"""The operator's figures of each service come while Postgres and NATS are silent or away, and name them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter
from typing import Any

import httpx
import msgspec
import pytest

from cafeteria.chassis.http.health import CHECK_LIMIT_S
from cafeteria.contracts import ops, subjects
from cafeteria.provisioning.plain_http import plain_http

TIMEOUT_S = 20.0
SLACK_S = 1.5
"""For a busy machine. Without a limit the answer would wait for a frozen server until the client gives up."""

Ask = Callable[[str], Awaitable[ops.ServicePulse]]


@pytest.fixture
async def ask(all_services: dict[str, str], tokens: Any) -> AsyncIterator[Ask]:
    """Asks a service as the operator. Its token is verified before anything is broken."""
    clients = {name: plain_http(base_url=url, timeout_s=TIMEOUT_S) for name, url in all_services.items()}
    headers = tokens.header(tokens.operator())

    async def ask(service: str) -> ops.ServicePulse:
        answer = await clients[service].get(f"/v1/ops/{service}", headers=headers)
        assert answer.status_code == httpx.codes.OK, answer.text
        return msgspec.json.decode(answer.content, type=ops.ServicePulse)

    for service in clients:
        assert (await ask(service)).health.status == "ok"
    yield ask
    for client in clients.values():
        await client.aclose()


def states_of(pulse: ops.ServicePulse) -> set[str]:
    return {pulse.health.dependencies[name].partition(":")[0] for name in ("postgres", "nats")}


async def test_while_both_are_frozen_the_answer_comes_when_health_gives_up(ask: Ask, servers: Any) -> None:
    with servers.postgres.frozen(), servers.nats.frozen():
        started = perf_counter()
        pulses = await asyncio.gather(*map(ask, subjects.SERVICES))
        assert perf_counter() - started < CHECK_LIMIT_S + SLACK_S
    for pulse in pulses:
        assert (pulse.health.status, states_of(pulse)) == ("unavailable", {"unavailable"})


@pytest.fixture
async def away(servers: Any, wait_until: Any) -> AsyncIterator[None]:
    """Postgres and NATS are killed; they are there again afterwards, for the services to end in order."""
    servers.postgres.kill()
    servers.nats.kill()
    yield
    await wait_until(lambda: not (servers.postgres.is_running or servers.nats.is_running))
    await servers.clean()


async def test_while_both_are_away_the_answer_names_them(ask: Ask, away: None, wait_until: Any) -> None:
    async def all_name_them() -> bool:
        pulses = await asyncio.gather(*map(ask, subjects.SERVICES))
        return all(states_of(pulse) == {"unavailable"} for pulse in pulses)

    await wait_until(all_name_them)
