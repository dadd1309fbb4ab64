"""HEAD is GET without a body, OPTIONS names every method, and all spellings of a path reach one route."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from litestar import get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Stream
from litestar.types import Receive, Scope, Send
from structlog.testing import capture_logs

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.http.request_boundary import SHEDS_LOAD
from cafeteria.chassis.http.responses import BytesResponse
from cafeteria.chassis.process import serving
from cafeteria.chassis.runtime.errors import Overloaded

steps: list[str] = []


class HandWrittenStream(BytesResponse):
    """A stream like notification's: it sends ASGI messages itself until the client disconnects."""

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/event-stream")],
            }
        )
        await send({"type": "http.response.body", "body": b"retry: 1\n\n", "more_body": True})
        steps.append("subscribed")
        while (await receive())["type"] != "http.disconnect":
            pass


@get("/meals")
async def list_meals() -> list[str]:
    return ["soup"]


@post("/meals", opt=SHEDS_LOAD)
async def cook(data: JSONBody[dict[str, int]]) -> str:
    return "cooked"


@get("/meals/{meal:str}")
async def look(meal: FromPath[str]) -> str:
    return meal


@get("/events", media_type="text/event-stream")
async def follow() -> BytesResponse:
    return HandWrittenStream(b"", status=200, media_type="text/event-stream")


@get("/generated")
async def generate() -> Stream:
    async def blocks() -> AsyncIterator[bytes]:
        while True:
            yield b": hello\n\n"

    return Stream(blocks(), media_type="text/event-stream")


@pytest.fixture
def app(make_app: Callable[..., ServiceApp]) -> ServiceApp:
    return make_app(list_meals, cook, look, follow, generate)


@pytest.fixture
async def client(app: ServiceApp, connect: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(app) as client:
        yield client


async def test_head_has_the_headers_of_get_and_its_own_log_line(
    app: ServiceApp, client: httpx.AsyncClient
) -> None:
    got = await client.get("/meals")
    with capture_logs() as lines:
        head = await client.head("/meals")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type"):
        assert head.headers[name] == got.headers[name]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [("HEAD", "/meals", 200)]
    missing = await client.head("/nowhere")
    assert (missing.status_code, missing.content) == (404, b"")
    assert missing.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/events", "/generated"])
async def test_head_of_a_stream_ends_without_opening_the_stream(
    app: ServiceApp, connect: Any, path: str
) -> None:
    steps.clear()
    with capture_logs() as lines:
        async with connect(app) as client, asyncio.timeout(20):
            for _ in range(2):  # on the same connection
                head = await client.head(path)
                assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")
    assert steps == []
    assert app.registry.get_sample_value("cafeteria_http_open_streams") == 0
    assert [line["event"] for line in lines] == ["request_answered"] * 2


async def test_options_names_the_methods_of_all_handlers_of_a_path(client: httpx.AsyncClient) -> None:
    expected = {
        "/meals": "GET, HEAD, OPTIONS, POST",
        "//meals/": "GET, HEAD, OPTIONS, POST",
        "/meals/soup": "GET, HEAD, OPTIONS",
        "/health/live": "GET, HEAD, OPTIONS",
        "/schema": "GET, HEAD, OPTIONS",
    }
    for path, methods in expected.items():
        answer = await client.options(spelt(client, path))
        assert (answer.status_code, answer.headers.get_list("allow")) == (204, [methods]), path
        refused = await client.patch(spelt(client, path))
        assert (refused.status_code, refused.headers["allow"]) == (405, methods), path
    assert (await client.options("/nowhere")).status_code == 404


async def test_options_of_the_whole_server_names_its_methods(app: ServiceApp) -> None:
    async with serving(app) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"OPTIONS * HTTP/1.1\r\nHost: canteen\r\nConnection: close\r\n\r\n")
        answer = (await reader.read()).decode()
        writer.close()
    assert answer.startswith("HTTP/1.1 204")
    assert "allow: GET, HEAD, OPTIONS, POST" in answer


def spelt(client: httpx.AsyncClient, path: str) -> str:
    """Return an absolute URL: httpx reads a path that begins with two slashes as a host."""
    return f"{str(client.base_url).rstrip('/')}{path}"


SPELLINGS = ["/meals", "/meals/", "//meals", "//meals//", "/%6deals", "/me%61ls/", "/%2Fmeals", "/meals%2F"]


@pytest.mark.parametrize("path", SPELLINGS)
async def test_load_is_shed_for_a_route_however_its_path_is_spelt(
    make_app: Callable[..., ServiceApp], connect: Any, path: str
) -> None:
    def shed_load() -> None:
        raise Overloaded("The kitchen is full.")

    app = make_app(list_meals, cook, look, shed_load=shed_load)
    async with connect(app) as client:
        with capture_logs() as lines:
            refused = await client.post(spelt(client, path), json={})
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/overloaded")
        assert [line["route"] for line in lines] == ["/meals"]
        assert (await client.get(spelt(client, path))).status_code == 200  # another method sheds nothing


async def test_a_path_with_parameters_cannot_shed_load(make_app: Callable[..., ServiceApp]) -> None:
    @post("/meals/{meal:str}", opt=SHEDS_LOAD)
    async def cook_one(meal: FromPath[str]) -> str:
        return meal

    with pytest.raises(RuntimeError, match="cannot shed load"):
        make_app(cook_one)


async def test_a_preflight_allows_what_event_stream_libraries_send(client: httpx.AsyncClient) -> None:
    asked = {"origin": "https://canteen.example", "access-control-request-method": "GET"}
    allowed = (await client.options("/events", headers=asked)).headers
    headers = {each.strip().lower() for each in allowed["access-control-allow-headers"].split(",")}
    assert {"cache-control", "last-event-id", "authorization", "idempotency-key"} <= headers
    methods = {each.strip() for each in allowed["access-control-allow-methods"].split(",")}
    assert methods == {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"}


async def test_a_repeated_header_is_refused_or_if_it_is_only_informative_dropped(
    client: httpx.AsyncClient,
) -> None:
    for name in ("Content-Type", "Origin", "Authorization", "Idempotency-Key", "Last-Event-ID"):
        twice = await client.get("/meals", headers=[(name, "a"), (name, "a")])
        assert (twice.status_code, twice.json()["errors"]) == (
            400,
            [f"header.{name.title()}: it occurs more than once"],
        )
    ids = await client.get("/meals", headers=[("x-request-id", "one"), ("x-request-id", "two")])
    assert ids.status_code == 200
    assert ids.headers["x-request-id"] not in ("one", "two")
