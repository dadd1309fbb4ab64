"""Every request has an id, a trace, one log line and a metric, and CORS headers for allowed origins only."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from litestar import get, post
from litestar.params import FromPath
from litestar.response import Stream
from structlog.testing import capture_logs

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.auth.tokens import SignedInRequest, requires
from cafeteria.chassis.http.request_boundary import SHEDS_LOAD
from cafeteria.chassis.observability import logs, tracing
from cafeteria.chassis.runtime.errors import Overloaded

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ALLOWED = "https://canteen.example"


@get("/meals/{meal:str}")
async def look(meal: FromPath[str]) -> dict[str, str | None]:
    return {"meal": meal, "traceparent": tracing.current(), "request_id": logs.request_id()}


@post("/meals")
async def cook() -> str:
    return "cooked"


@get("/events")
async def follow() -> Stream:
    async def blocks() -> AsyncIterator[bytes]:
        yield b": hello\n\n"

    return Stream(blocks(), media_type="text/event-stream")


@get("/torn")
async def tear() -> Stream:
    async def blocks() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("torn")

    return Stream(blocks(), media_type="text/plain")


@pytest.fixture
def app(make_app: Callable[..., ServiceApp]) -> ServiceApp:
    return make_app(look, cook, follow, tear)


@pytest.fixture
async def client(app: ServiceApp, connect: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(app) as client:
        yield client


def answer_lines(lines: list[Any]) -> list[Any]:
    return [line for line in lines if line["event"] == "request_answered"]


async def test_a_valid_request_id_is_kept_and_any_other_replaced(client: httpx.AsyncClient) -> None:
    kept = await client.get("/meals/soup", headers={"x-request-id": "abc-123"})
    assert kept.headers["x-request-id"] == kept.json()["request_id"] == "abc-123"
    for broken in ("a b", "x" * 65, 'a"b', ""):
        made = await client.get("/meals/soup", headers={"x-request-id": broken})
        assert re.fullmatch("[0-9a-f]{24}", made.headers["x-request-id"])
    nowhere = await client.get("/nowhere")
    assert nowhere.headers["x-request-id"]


async def test_a_trace_is_continued_or_started(client: httpx.AsyncClient) -> None:
    joined = (await client.get("/meals/soup", headers={"traceparent": TRACE})).json()["traceparent"]
    assert joined[:36] == TRACE[:36]
    started = (await client.get("/meals/soup")).json()["traceparent"]
    assert started[:36] != TRACE[:36]


async def test_every_request_writes_one_line_with_the_route_and_never_the_query(
    client: httpx.AsyncClient,
) -> None:
    with capture_logs() as lines:
        await client.get("/meals/soup?token=hunter2", headers={"authorization": "Bearer hunter2"})
        await client.get("/nowhere/hunter2")
    first, second = answer_lines(lines)
    assert {key: first[key] for key in ("method", "route", "status", "log_level")} == {
        "method": "GET",
        "route": "/meals/{meal}",
        "status": 200,
        "log_level": "info",
    }
    assert first["duration_ms"] > 0
    assert (second["route"], second["status"]) == ("unmatched", 404)
    assert "hunter2" not in repr(lines)


async def test_health_and_metrics_requests_are_logged_at_debug(client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        for path in ("/health", "/health/live", "/health/ready", "/metrics"):
            await client.get(path)
    assert [line["log_level"] for line in answer_lines(lines)] == ["debug"] * 4


async def test_the_log_line_names_the_tokens_subject(
    make_app: Callable[..., ServiceApp], connect: Any, signer: Any
) -> None:
    @get("/me", before_request=requires())
    async def me(request: SignedInRequest) -> str:
        return request.user.subject

    keys = KeySource(signer.fetch)
    await keys.refresh()
    async with connect(make_app(me, keys=keys)) as client:
        with capture_logs() as lines:
            await client.get("/me", headers={"authorization": f"Bearer {signer.token()}"})
    assert [line["subject"] for line in answer_lines(lines)] == ["210041101"]


async def test_requests_are_counted_by_route_method_and_status(
    app: ServiceApp, client: httpx.AsyncClient
) -> None:
    for path in ("/meals/soup", "/meals/rice", "/nowhere/1", "/nowhere/2"):
        await client.get(path)
    sample = app.registry.get_sample_value
    labels = {"route": "/meals/{meal}", "method": "GET"}
    assert sample("cafeteria_http_requests_total", {**labels, "status": "200"}) == 2
    assert sample("cafeteria_http_request_seconds_count", labels) == 2
    assert (
        sample("cafeteria_http_requests_total", {"route": "unmatched", "method": "GET", "status": "404"}) == 2
    )


async def test_event_streams_are_not_in_the_durations(app: ServiceApp, connect: Any) -> None:
    # a stream is counted after its last byte, and before the server has stopped
    async with connect(app) as client:
        await client.get("/events")
    sample = app.registry.get_sample_value
    labels = {"route": "/events", "method": "GET"}
    assert sample("cafeteria_http_requests_total", {**labels, "status": "200"}) == 1
    assert sample("cafeteria_http_request_seconds_count", labels) == 0
    assert sample("cafeteria_http_open_streams") == 0


async def test_an_answer_that_breaks_off_is_logged_once_and_stays_incomplete(app: ServiceApp) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "GET", "path": "/torn", "headers": [], "query_string": b""}
    with capture_logs() as lines, pytest.raises(logs.AlreadyLogged):
        await app(scope, receive, send)
    assert [line["event"] for line in lines] == ["request_failed", "request_answered"]
    assert sent[-1]["more_body"]


async def test_a_page_of_an_allowed_origin_may_read_the_answers(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere", headers={"origin": ALLOWED})
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Origin"


async def test_a_page_of_another_origin_may_not(client: httpx.AsyncClient) -> None:
    for origin in ("https://evil.example", "null", ALLOWED + ".evil.example", "http://canteen.example"):
        answer = await client.get("/meals/soup", headers={"origin": origin})
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_preflight_is_answered_for_allowed_origins_only(client: httpx.AsyncClient) -> None:
    headers = {"origin": ALLOWED, "access-control-request-method": "POST"}
    granted = await client.options("/meals", headers=headers)
    assert (granted.status_code, granted.content) == (204, b"")
    assert "POST" in granted.headers["access-control-allow-methods"]
    assert "Idempotency-Key" in granted.headers["access-control-allow-headers"]
    refused = await client.options("/meals", headers={**headers, "origin": "https://evil.example"})
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"


async def test_options_without_a_preflight_names_the_methods(client: httpx.AsyncClient) -> None:
    assert (await client.options("/meals")).headers["allow"] == "OPTIONS, POST"


async def test_a_request_that_load_shedding_refuses_gets_a_problem_and_reaches_nothing_else(
    make_app: Callable[..., ServiceApp], connect: Any
) -> None:
    cooked: list[bool] = []

    @post("/feast", opt=SHEDS_LOAD)
    async def feast() -> None:
        cooked.append(True)

    def shed_load() -> None:
        raise Overloaded("The kitchen is full.", retry_after_s=3)

    app = make_app(feast, look, shed_load=shed_load)
    async with connect(app) as client:
        with capture_logs() as lines:
            refused = await client.post("/feast", content=b"no JSON at all", headers={"origin": ALLOWED})
        assert (await client.get("/meals/soup")).status_code == 200
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "3")
    problem = refused.json()
    assert (problem["type"], problem["detail"]) == ("/problems/overloaded", "The kitchen is full.")
    assert problem["request_id"] == refused.headers["x-request-id"]
    assert refused.headers["access-control-allow-origin"] == ALLOWED
    assert [(line["route"], line["status"]) for line in answer_lines(lines)] == [("/feast", 503)]
    assert not cooked
