"""What the edge passes on and how, what it answers itself, and how it ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from cafeteria.contracts.problems import Problem
from cafeteria.contracts.subjects import GATEWAY, IDENTITY, NOTIFICATION, SERVICES, STOCK
from cafeteria.local_stack import ports
from cafeteria.local_stack.edge import EDGE
from cafeteria.local_stack.servers import supervised
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.testkit.upstreams import BehindEdge, behind_edge, raw
from cafeteria.web.assets import HEADERS

WaitUntil = Callable[..., Any]
EVENTS = 5
AT_ONCE_S = 0.1
BODY_LIMIT = 65_536
SECRET = "a-token-that-nobody-may-read"
OWN_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "content-type": "application/problem+json",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages with a blank") / "site"
    (folder / "js").mkdir(parents=True)
    for page in ("index", "kitchen", "board", "ops"):
        (folder / f"{page}.html").write_text(f"<!doctype html><title>{page}</title>{'<p>words</p>' * 200}")
    (folder / "js" / "main.js").write_text("export const answer = 42;\n")
    return folder


@pytest.fixture(scope="module")
async def shared(site: Path) -> AsyncIterator[BehindEdge]:
    async with behind_edge(SERVICES, site=site) as running:
        yield running


@pytest.fixture
async def behind(shared: BehindEdge) -> AsyncIterator[BehindEdge]:
    yield shared
    for upstream in shared.upstreams.values():
        upstream.received.clear()
        upstream.answer = upstream.tell_name


@pytest.fixture
async def web(behind: BehindEdge) -> AsyncIterator[httpx.AsyncClient]:
    async with plain_http(base_url=behind.edge.url, timeout_s=10) as client:
        yield client


def problem_of(answer: httpx.Response) -> Problem:
    problem = msgspec.json.decode(answer.content, type=Problem, strict=True)
    assert answer.json()["source"] == "edge"
    assert {name: answer.headers[name] for name in OWN_HEADERS} == OWN_HEADERS
    assert "server" not in answer.headers
    assert problem.request_id == answer.headers["x-request-id"]
    assert problem.instance == answer.request.url.path
    assert problem.status == answer.status_code
    return problem


async def begin_stream(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    await writer.drain()


async def hold_stream_open(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await begin_stream(writer)
    await asyncio.Event().wait()


async def test_each_event_of_a_stream_arrives_before_the_next_is_written(
    behind: BehindEdge, web: httpx.AsyncClient
) -> None:
    """The service writes an event only after the client has the last one, so a buffer would stop this test."""
    has_arrived = asyncio.Semaphore(0)

    async def write_events(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await begin_stream(writer)
        for number in range(EVENTS):
            await has_arrived.acquire()
            event = f"id: {number}\n\n".encode()
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    behind.upstreams[NOTIFICATION].answer = write_events
    found = []
    headers = {"Accept-Encoding": "gzip, br, zstd", "Last-Event-ID": "7"}
    async with asyncio.timeout(10), web.stream("GET", "/v1/events", headers=headers) as answer:
        assert "content-encoding" not in answer.headers
        has_arrived.release()
        async for chunk in answer.aiter_bytes():
            found.append(chunk)
            has_arrived.release()
    assert found == [f"id: {number}\n\n".encode() for number in range(EVENTS)]
    assert behind.upstreams[NOTIFICATION].received[0].headers["last-event-id"] == "7"


async def test_a_stream_that_its_client_has_left_ends_at_the_service(
    behind: BehindEdge, web: httpx.AsyncClient
) -> None:
    notification = behind.upstreams[NOTIFICATION]
    has_left = asyncio.Event()

    async def until_left(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Nothing more is written, so no event that fails shows that the client has gone."""
        await begin_stream(writer)
        assert await reader.read() == b""
        has_left.set()

    notification.answer = until_left
    async with web.stream("GET", "/v1/events"):
        pass
    await asyncio.wait_for(has_left.wait(), 10)


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k-1"}], ids=["without-key", "with-key"])
async def test_a_change_is_sent_once_whatever_the_service_does(
    behind: BehindEdge, web: httpx.AsyncClient, key: dict[str, str]
) -> None:
    gateway = behind.upstreams[GATEWAY]

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    await web.get("/v1/menu")  # the connection that the change then takes is a used one
    gateway.answer = hang_up
    answer = await web.post("/v1/orders", content=b'{"lines":[]}', headers=key)
    assert problem_of(answer).type == "/problems/unavailable"
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert [each.method for each in gateway.received] == ["GET", "POST"]


async def test_a_service_that_is_away_is_a_503_at_once(site: Path) -> None:
    names = [name for name in SERVICES if name != GATEWAY]
    async with (
        behind_edge(names, site=site, away=[GATEWAY]) as behind,
        plain_http(base_url=behind.edge.url, timeout_s=10) as web,
    ):
        await web.post("/v1/orders", content=b"{}")
        started = time.monotonic()
        answer = await web.post("/v1/orders", content=b"{}")
        took_s = time.monotonic() - started
        assert (await web.get("/v1/items")).status_code == httpx.codes.OK, "another service is there"
    problem = problem_of(answer)
    assert (problem.type, problem.title) == ("/problems/unavailable", "Service unavailable")
    assert "Idempotency-Key" in problem.detail
    assert answer.headers["retry-after"] == "1"
    assert took_s < AT_ONCE_S


@asynccontextmanager
async def with_gateways(behind: BehindEdge, *gateways: int) -> AsyncIterator[httpx.AsyncClient]:
    """Run another edge, for which the gateway has these ports."""
    upstreams = {**behind.edge.upstreams, GATEWAY: gateways}
    edge = replace(behind.edge, port=ports.free_port(), upstreams=upstreams)
    process = supervised(EDGE, edge, home=edge.home, keep=False)
    await process.start()
    try:
        async with plain_http(base_url=edge.url, timeout_s=10) as web:
            yield web
    finally:
        await process.stop()


async def test_of_several_replicas_one_that_is_away_is_not_noticed(behind: BehindEdge) -> None:
    gateway = behind.upstreams[GATEWAY]
    async with with_gateways(behind, ports.free_port(), gateway.port) as web:
        answers = [await web.request(method, "/v1/orders") for method in ("GET", "POST") * 5]
    assert {answer.status_code for answer in answers} == {200}
    assert len(gateway.received) == len(answers)


async def test_a_change_that_one_replica_drops_is_not_sent_to_the_other(behind: BehindEdge) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    replicas = [behind.upstreams[name] for name in (GATEWAY, STOCK)]
    for each in replicas:
        each.answer = hang_up
    async with with_gateways(behind, *(each.port for each in replicas)) as web:
        answers = [await web.post("/v1/orders", content=b"{}") for _ in range(5)]
    assert {problem_of(answer).status for answer in answers} == {503}
    # those that came while both were avoided were not sent at all
    assert 0 < sum(len(each.received) for each in replicas) <= len(answers)


async def test_what_a_service_answers_passes_whole(behind: BehindEdge, web: httpx.AsyncClient) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 3\r\n"
            b"X-Request-Id: own\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 3\r\n"
            b"Set-Cookie: a=1; HttpOnly\r\nSet-Cookie: b=2; Path=/v1/token\r\n\r\n{ }"
        )

    behind.upstreams[GATEWAY].answer = refuse
    answer = await web.get("/v1/menu", headers={"Accept-Encoding": "gzip"})
    assert (answer.status_code, answer.content) == (503, b"{ }")
    assert answer.headers["retry-after"] == "3"
    assert answer.headers.get_list("x-request-id") == ["own"]
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers.get_list("set-cookie") == ["a=1; HttpOnly", "b=2; Path=/v1/token"]
    assert not {"server", "via", "content-encoding"} & set(answer.headers)


async def test_what_a_client_sends_passes_and_what_it_says_of_its_address_does_not(
    behind: BehindEdge, web: httpx.AsyncClient
) -> None:
    passed = {
        "host": "kitchen.localhost:8080",
        "origin": "http://kitchen.localhost:8080",
        "cookie": "cafeteria_access=x",
        "authorization": "Bearer x",
        "idempotency-key": "k-1",
        "x-request-id": "r-1",
    }
    invented = {
        "X-Forwarded-For": "10.9.8.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=10.9.8.7;proto=https",
    }
    body = b'{ "lines" : [ ] }'
    await web.post("/v1/orders?a=%2F&b", content=body, headers={**passed, **invented})
    [received] = behind.upstreams[GATEWAY].received
    assert (received.method, received.target, received.body) == ("POST", "/v1/orders?a=%2F&b", body)
    assert {name: received.headers[name] for name in passed} == passed
    assert received.headers["x-forwarded-for"] == ports.HOST
    assert received.headers["x-forwarded-proto"] == "http"
    assert received.headers["x-forwarded-host"] == passed["host"]
    assert "forwarded" not in received.headers


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with-length", "chunked"])
async def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not(
    behind: BehindEdge, web: httpx.AsyncClient, *, is_chunked: bool
) -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        for begin in range(0, size, 1000):
            yield b"x" * min(1000, size - begin)

    def body(size: int) -> Any:
        return chunks(size) if is_chunked else b"x" * size

    assert (await web.post("/v1/login", content=body(BODY_LIMIT))).status_code == httpx.codes.OK
    answer = await web.post("/v1/login", content=body(BODY_LIMIT + 1))
    problem = problem_of(answer)
    assert (problem.type, problem.title, problem.status) == ("/problems/too-large", "Too large", 413)
    assert len(behind.upstreams[IDENTITY].received) == 1


async def test_pages_have_their_headers_and_are_not_sent_twice(web: httpx.AsyncClient) -> None:
    answer = await web.get("/", headers={"Accept-Encoding": "gzip"})
    assert "<title>index</title>" in answer.text
    assert answer.headers["content-encoding"] == "gzip"
    assert {name: answer.headers.get_list(name) for name in HEADERS} == {
        name: [value] for name, value in HEADERS.items()
    }
    assert "server" not in answer.headers
    again = await web.get("/", headers={"Accept-Encoding": "gzip", "If-None-Match": answer.headers["etag"]})
    assert again.status_code == httpx.codes.NOT_MODIFIED
    assert again.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("page", ["kitchen", "board", "ops"])
async def test_each_page_has_a_short_address(web: httpx.AsyncClient, page: str) -> None:
    answer = await web.get(f"/{page}")
    assert f"<title>{page}</title>" in answer.text
    assert answer.headers["content-type"].startswith("text/html")


async def test_modules_have_a_type_that_browsers_run(web: httpx.AsyncClient) -> None:
    answer = await web.get("/js/main.js")
    assert answer.headers["content-type"].partition(";")[0] in ("text/javascript", "application/javascript")


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("kitchen.localhost:8080", "/kitchen"),
        ("ops.canteen.example", "/ops"),
        ("localhost:8080", None),
        ("notkitchen.localhost", None),
    ],
)
async def test_the_hosts_of_kitchen_and_operators_lead_to_their_pages(
    web: httpx.AsyncClient, host: str, target: str | None
) -> None:
    answer = await web.get("/", headers={"Host": host})
    assert answer.headers.get("location") == target
    assert answer.status_code == (302 if target else 200)
    assert (await web.get("/board", headers={"Host": host})).status_code == httpx.codes.OK


async def test_an_unknown_page_is_a_sentence_with_the_headers_of_a_page(web: httpx.AsyncClient) -> None:
    answer = await web.get("/nothing-here")
    assert (answer.status_code, answer.text) == (404, "Nothing is found at this address.")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "server" not in answer.headers


async def test_a_page_is_only_read(web: httpx.AsyncClient) -> None:
    answer = await web.post("/", content=b"x")
    assert problem_of(answer).type == "/problems/method-not-allowed"
    assert "GET" in answer.headers["allow"]


async def test_a_slow_head_is_given_up(behind: BehindEdge) -> None:
    started = time.monotonic()
    await asyncio.wait_for(raw(behind.edge, b"GET / HTTP/1.1\r\nHost: localhost\r\n"), 30)
    assert time.monotonic() - started < 15


async def test_what_is_secret_is_not_in_the_log(site: Path) -> None:
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"cafeteria_access={SECRET}"}
    names = [name for name in SERVICES if name != GATEWAY]
    async with behind_edge(names, site=site, away=[GATEWAY]) as behind:
        async with plain_http(base_url=behind.edge.url, timeout_s=10) as web:
            for path in ("/v1/menu", "/v1/me", "/v1/unknown", "/"):
                await web.get(path, headers=headers)
            await web.post("/v1/orders", content=f'{{"password": "{SECRET}"}}', headers=headers)
        await behind.process.stop()
        log = behind.process.log_file.read_text()
    assert SECRET not in log


async def test_it_ends_within_its_grace_with_streams_open(site: Path, wait_until: WaitUntil) -> None:
    streams = 50
    async with behind_edge(SERVICES, site=site) as behind:
        notification = behind.upstreams[NOTIFICATION]
        notification.answer = hold_stream_open
        clients = [
            asyncio.create_task(raw(behind.edge, b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            for _ in range(streams)
        ]
        await wait_until(lambda: len(notification.received) == streams)
        started = time.monotonic()
        await behind.process.stop()
        assert time.monotonic() - started < 2
        answers = await asyncio.wait_for(asyncio.gather(*clients), 10)
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
