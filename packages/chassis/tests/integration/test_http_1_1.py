"""HTTP/1.1 as clients really send it: upgrade offers, pipelined requests, junk after a request, invalid hosts."""

import asyncio
import json
import operator
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.params import JSONBody
from litestar.response import Stream

from cafeteria.chassis.app import build_app
from cafeteria.chassis.http.uvicorn_protocol import HttpProtocol
from cafeteria.chassis.process import serving
from cafeteria.chassis.runtime.settings import ServiceSettings, load_settings
from cafeteria.testkit.plugin import until

Talk = Callable[..., Awaitable[bytes]]
ENVIRON = {
    "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:1/cafeteria",
    "CAFETERIA_POSTGRES_PASSWORD": "x",
    "CAFETERIA_NATS_URL": "nats://127.0.0.1:1",
    "CAFETERIA_NATS_PASSWORD": "x",
}
BODY = b'{"a":"b"}'
LENGTH = b"content-length: %d\r\n" % len(BODY)
OFFERS = [
    pytest.param(b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAM\r\n", id="h2c"),
    pytest.param(
        b"Connection: upgrade\r\nUpgrade: websocket\r\nsec-websocket-version: 13\r\n", id="websocket"
    ),
    pytest.param(b"connection: keep-alive, Upgrade\r\nUPGRADE: TLS/1.0, HTTP/2.0\r\n", id="several"),
]


@post("/orders", status_code=201)
async def order(data: JSONBody[dict[str, str]], request: Request[Any, Any, Any]) -> dict[str, str]:
    request.app.state.orders.append(data)
    await asyncio.sleep(0.02)
    return data


@get("/meal")
async def meal() -> str:
    return "soup"


@get("/events")
async def events(request: Request[Any, Any, Any]) -> Stream:
    async def blocks() -> AsyncIterator[bytes]:
        try:
            yield b": open\n\n"
            await request.app.state.closing.wait()
        finally:
            request.app.state.stream_ended.set()

    return Stream(blocks(), media_type="text/event-stream")


@pytest.fixture
async def app() -> Litestar:
    built = build_app(
        service="probe",
        settings=load_settings(ServiceSettings, ENVIRON),
        route_handlers=[order, meal, events],
        checks={},
    )
    built.state.orders, built.state.stream_ended = [], asyncio.Event()
    return built


@pytest.fixture
async def connect(app: Any) -> AsyncIterator[Any]:
    async with serving(app) as url:
        host, port = url.removeprefix("http://").split(":")

        async def open_connection() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection(host, int(port))

        yield open_connection


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> bytearray:
    """The bytes that the server has read, of any connection."""
    received, data_received = bytearray(), HttpProtocol.data_received

    def record(protocol: HttpProtocol, data: bytes) -> None:
        received.extend(data)
        data_received(protocol, data)

    monkeypatch.setattr(HttpProtocol, "data_received", record)
    return received


@pytest.fixture
def talk(connect: Any, received: bytearray) -> Talk:
    async def talk(*segments: bytes) -> bytes:
        """Send each segment once the server has read the one before; return its bytes until it closes.

        The last request asks the server to close the connection.
        """
        reader, writer = await connect()
        received.clear()
        for number, segment in enumerate(segments):
            sent = b"".join(segments[:number])
            await until(partial(operator.eq, received, sent))
            writer.write(segment)
        async with asyncio.timeout(20):
            answer: bytes = await reader.read()
        writer.close()
        return answer

    return talk


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def posted(more: bytes = LENGTH, body: bytes = BODY) -> bytes:
    return b"POST /orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" + more + b"\r\n" + body


LAST = b"GET /meal HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("offer", OFFERS)
async def test_an_upgrade_offer_is_ignored_and_the_connection_continues(
    app: Any, talk: Talk, offer: bytes
) -> None:
    whole = posted(offer + LENGTH)
    head, body = whole[: -len(BODY)], BODY
    chunked = posted(offer + b"transfer-encoding: chunked\r\n", b"9\r\n" + BODY + b"\r\n0\r\n\r\n")
    get_meal = b"GET /meal HTTP/1.1\r\nhost: x\r\n" + offer + b"\r\n"
    assert statuses(await talk(whole, LAST)) == [201, 200]
    assert statuses(await talk(head, body, LAST)) == [201, 200]
    assert statuses(await talk(chunked[:-20], chunked[-20:], LAST)) == [201, 200]
    assert statuses(await talk(head[:70], head[70:] + body[:4], body[4:] + get_meal + LAST)) == [
        201,
        200,
        200,
    ]
    assert app.state.orders == [{"a": "b"}] * 4


async def test_more_upgrade_offers_in_one_segment_than_pythons_recursion_limit_are_answered(
    talk: Talk,
) -> None:
    offer = b"GET /meal HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: a\r\n\r\n"
    assert statuses(await talk(offer * 1200 + LAST)) == [200] * 1201


@pytest.mark.parametrize(
    "junk", [b"}", b"junk\r\n\r\n", b"\x00\xff" * 50, b"GET / HTTP/1.1\r\nbad header\r\n\r\n"]
)
async def test_junk_after_a_request_is_refused_once_the_request_is_answered(
    app: Any, talk: Talk, junk: bytes
) -> None:
    together = await talk(posted() + junk)
    later = await talk(posted() + posted(), junk)
    assert statuses(together) == [201, 400]
    assert statuses(later) == [201, 201, 400]
    assert len(app.state.orders) == 3
    assert json.loads(together.rpartition(b"\r\n\r\n")[2])["type"] == "/problems/invalid-request"
    assert together.lower().count(b"connection: close") == 1


async def test_a_body_with_broken_framing_gets_one_answer(app: Any, talk: Talk) -> None:
    broken = posted(b"transfer-encoding: chunked\r\n", b"9\r\n" + BODY + b"\r\nno length\r\n")
    answer = await talk(broken + LAST)
    assert (statuses(answer), app.state.orders) == ([400], [])
    assert b'"instance":"/orders"' in answer  # from the app, which had started the request


async def test_a_request_after_the_last_one_of_a_connection_is_not_executed(app: Any, talk: Talk) -> None:
    assert statuses(await talk(LAST + posted())) == [200]
    assert statuses(await talk(b"POST /orders HTTP/1.1\r\n" + LENGTH + b"\r\n" + BODY + posted())) == [400]
    assert app.state.orders == []


@pytest.mark.parametrize(
    "hosts",
    [
        b"",
        b"host: a\r\nhost: a\r\n",
        b"host: a b\r\n",
        b"host: a/b\r\n",
        b"host: http://a\r\n",
        b"host: [::1\r\n",
        b"host: a@b\r\n",
        b"host: a:port\r\n",
    ],
)
async def test_a_request_without_exactly_one_good_host_is_refused(talk: Talk, hosts: bytes) -> None:
    assert statuses(await talk(b"GET /meal HTTP/1.1\r\n" + hosts + b"\r\n" + LAST)) == [400]


@pytest.mark.parametrize("host", [b"", b"canteen.example", b"127.0.0.1:8000", b"[::1]:8000", b"my_host:"])
async def test_every_valid_host_is_accepted(talk: Talk, host: bytes) -> None:
    assert statuses(await talk(b"GET /meal HTTP/1.1\r\nHost: " + host + b"\r\n\r\n" + LAST)) == [200, 200]


@pytest.mark.parametrize(
    "line", [b"CONNECT a:80 HTTP/1.1", b"GET /meal HTTP/2.0", b"GET /meal HTTP/0.9", b"GET http:// HTTP/1.1"]
)
async def test_another_method_version_or_target_is_refused(talk: Talk, line: bytes) -> None:
    assert statuses(await talk(line + b"\r\nhost: x\r\n\r\nmore")) == [400]


async def test_the_answer_to_a_head_request_has_no_body_even_when_it_is_refused(talk: Talk) -> None:
    for hosts in (b"host: x\r\n", b""):
        answer = await talk(b"HEAD /meal HTTP/1.1\r\nconnection: close\r\n" + hosts + b"\r\n")
        assert answer.endswith(b"\r\n\r\n")
        assert answer.count(b"\r\n\r\n") == 1


async def test_a_stream_ends_with_its_connection_although_another_request_waits(
    app: Any, connect: Any
) -> None:
    """Every request of a lost connection gets the disconnect."""
    reader, writer = await connect()
    writer.write(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n" + LAST)
    await reader.readuntil(b": open")
    writer.close()
    await asyncio.wait_for(app.state.stream_ended.wait(), timeout=5)
