"""`serving` runs an app in the test's own event loop; the tests of every service use it."""

import asyncio
import select
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvloop
from litestar import Litestar, Request, Response, get
from litestar.background_tasks import BackgroundTask

from cafeteria.chassis.app import ServiceApp, build_app
from cafeteria.chassis.http.uvicorn_server import ABANDON_S
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.process import serving
from cafeteria.chassis.runtime.settings import ServiceSettings, load_settings
from cafeteria.testkit.plugin import until

MEALS = metrics.counter("probe_meals_total", "Meals")


def settings() -> ServiceSettings:
    return load_settings(
        ServiceSettings,
        {
            "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:1/cafeteria",
            "CAFETERIA_POSTGRES_PASSWORD": "x",
            "CAFETERIA_NATS_URL": "nats://127.0.0.1:1",
            "CAFETERIA_NATS_PASSWORD": "x",
        },
    )


def make_app(events: list[str]) -> ServiceApp:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        events.append("opened")
        yield
        events.append("closed")

    @get("/meal")
    async def meal() -> str:
        MEALS.metric().inc()
        return "soup"

    @get("/last")
    async def last(request: Request[Any, Any, Any]) -> str:
        events.append("begun")
        await request.app.state.closing.wait()
        events.append("answered")
        return "soup"

    @get("/washed")
    async def wash() -> Response[str]:
        async def dry() -> None:
            await asyncio.sleep(2 * ABANDON_S)
            events.append("dried")

        return Response("washed", background=BackgroundTask(dry), headers={"connection": "close"})

    return build_app(
        service="probe",
        settings=settings(),
        route_handlers=[meal, last, wash],
        checks={},
        lifespan=[lifespan],
    )


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    """The setup and the teardown of a fixture run in different tasks."""
    async with serving(make_app([])) as url:
        yield url


async def test_a_fixture_may_hold_a_served_app(base_url: str) -> None:
    async with httpx.AsyncClient(base_url=base_url) as client:
        assert (await client.get("/meal")).text == "soup"


@pytest.mark.parametrize(
    ("start", "status"),
    [
        pytest.param(b"GET /", b"431", id="address"),
        pytest.param(b"GET /meal HTTP/1.1\r\nX-Endless: ", b"431", id="header"),
        pytest.param(
            b"GET /meal HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Endless: ",
            b"200",  # the handler needs no body, and answers
            id="trailer",
        ),
    ],
)
async def test_a_request_without_an_end_is_cut_off(base_url: str, start: bytes, status: bytes) -> None:
    host, port = base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(start + b"a" * 1_000_000)
    async with asyncio.timeout(20):
        assert status in await reader.read()
    writer.close()
    async with httpx.AsyncClient(base_url=base_url) as client:
        assert (await client.get("/meal")).text == "soup"


async def test_requests_in_flight_are_answered_before_the_lifespan_closes() -> None:
    events: list[str] = []
    async with httpx.AsyncClient() as client:
        async with serving(make_app(events)) as url:
            answer = asyncio.create_task(client.get(f"{url}/last"))
            await until(lambda: "begun" in events)
        assert (await answer).text == "soup"
    assert events == ["opened", "begun", "answered", "closed"]


async def test_the_stop_waits_for_a_handlers_background_task() -> None:
    events: list[str] = []
    async with serving(make_app(events)) as url, httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/washed")).text == "washed"
    assert events == ["opened", "dried", "closed"]


async def test_several_apps_in_one_process_have_their_own_metrics() -> None:
    first, second = make_app([]), make_app([])
    async with serving(first) as one, serving(second) as two, httpx.AsyncClient() as client:
        assert one != two
        await client.get(f"{one}/meal")
        MEALS.metric().inc()  # outside any app
        assert first.registry.get_sample_value("probe_meals_total") == 1
        assert second.registry.get_sample_value("probe_meals_total") is None


async def test_a_lifespan_that_cannot_open_raises_at_the_start() -> None:
    @asynccontextmanager
    async def broken(_: Litestar) -> AsyncIterator[None]:
        raise RuntimeError("cannot open")
        yield

    app = build_app(service="probe", settings=settings(), route_handlers=[], checks={}, lifespan=[broken])
    with pytest.raises(RuntimeError, match="cannot open"):
        async with serving(app):
            pass


CONNECTIONS, ITERATIONS = 256, 100  # a single listener would need an iteration for each


def test_many_new_connections_are_accepted_in_a_few_iterations_of_the_event_loop() -> None:
    """On uvloop, as in the services: a listener accepts one connection an iteration, and those are long under load."""

    async def test() -> None:
        loop = asyncio.get_running_loop()
        async with serving(make_app([])) as url:
            address = (httpx.URL(url).host, httpx.URL(url).port)
            connections = await loop.run_in_executor(
                None, lambda: [socket.create_connection(address) for _ in range(CONNECTIONS)]
            )
            try:
                for connection in connections:
                    connection.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
                for _ in range(ITERATIONS):
                    await asyncio.sleep(0)
                readable, _, _ = select.select(connections, [], [], 0)
                assert len(readable) == CONNECTIONS
            finally:
                for connection in connections:
                    connection.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test())
