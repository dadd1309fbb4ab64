"""Liveness checks no dependency; readiness names the state of each within its time limit."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

import httpx
import pytest

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.http import health
from cafeteria.chassis.runtime.errors import Unavailable


async def available() -> None:
    pass


async def stuck() -> None:
    await asyncio.Event().wait()


async def refused() -> None:
    raise ConnectionRefusedError(111, "Connection refused", "postgresql://admin:hunter2@db")


async def broken() -> None:
    raise RuntimeError("postgresql://admin:hunter2@db")


async def starting() -> None:
    raise Unavailable("no menu has arrived yet")


async def check(
    make_app: Callable[..., ServiceApp], connect: Any, path: str, **checks: Any
) -> httpx.Response:
    async with connect(make_app(checks=checks)) as client:
        answer: httpx.Response = await client.get(path)
        return answer


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_a_service_whose_dependencies_answer_is_ready(
    make_app: Callable[..., ServiceApp], connect: Any, path: str
) -> None:
    answer = await check(make_app, connect, path, postgres=available, nats=available)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json() == {"status": "ok", "dependencies": {"postgres": "ok", "nats": "ok"}}


async def test_an_unavailable_dependency_is_named_with_a_reason_and_without_a_secret(
    make_app: Callable[..., ServiceApp], connect: Any
) -> None:
    answer = await check(
        make_app, connect, "/health/ready", postgres=refused, nats=available, menu=starting, store=broken
    )
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "dependencies": {
            "postgres": "unavailable: connection refused",
            "nats": "ok",
            "menu": "unavailable: no menu has arrived yet",
            "store": "unavailable: RuntimeError",
        },
    }


async def test_checks_run_concurrently_under_one_limit(
    make_app: Callable[..., ServiceApp], connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_LIMIT_S", 0.5)
    started = monotonic()
    answer = await check(make_app, connect, "/health", **{f"stuck-{number}": stuck for number in range(40)})
    assert monotonic() - started < 10, "sequential checks would take twenty seconds"
    assert set(answer.json()["dependencies"].values()) == {"unavailable: no answer within 0.5 s"}


async def test_liveness_checks_no_dependency(make_app: Callable[..., ServiceApp], connect: Any) -> None:
    answer = await check(make_app, connect, "/health/live", postgres=broken, nats=stuck)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
