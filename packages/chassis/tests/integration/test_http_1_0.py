"""HTTP/1.0, as old proxies and load testers use it: no chunks, and a connection ends unless both sides keep it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import get, post
from litestar.params import JSONBody
from litestar.response import Stream

from cafeteria.chassis.app import build_app
from cafeteria.chassis.process import serving
from cafeteria.chassis.runtime.settings import ServiceSettings, load_settings

ENVIRON = {
    "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:1/cafeteria",
    "CAFETERIA_POSTGRES_PASSWORD": "x",
    "CAFETERIA_NATS_URL": "nats://127.0.0.1:1",
    "CAFETERIA_NATS_PASSWORD": "x",
}


@get("/events")
async def events() -> Stream:
    async def blocks() -> AsyncIterator[bytes]:
        yield b": one\n\n"
        await asyncio.sleep(0)
        yield b": two\n\n"

    return Stream(blocks(), media_type="text/event-stream")


@get("/meal")
async def meal() -> str:
    return "soup"


@post("/orders")
async def order(data: JSONBody[dict[str, str]]) -> dict[str, str]:
    return data


@pytest.fixture
async def talk() -> AsyncIterator[Any]:
    app = build_app(
        service="probe",
        settings=load_settings(ServiceSettings, ENVIRON),
        route_handlers=[events, meal, order],
        checks={},
    )
    async with serving(app) as url:
        host, port = url.removeprefix("http://").split(":")

        async def talk(*requests: bytes) -> bytes:
            """Send the requests; return the server's bytes until it closes."""
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"".join(requests))
            async with asyncio.timeout(5):
                answer = await reader.read()
            writer.close()
            return answer

        yield talk


async def test_a_stream_is_sent_as_it_is_and_ends_with_its_connection(talk: Any) -> None:
    head, _, body = (await talk(b"GET /events HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")).partition(
        b"\r\n\r\n"
    )
    assert body == b": one\n\n: two\n\n"
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head


async def test_a_connection_ends_with_its_answer(talk: Any) -> None:
    answer = await talk(b"GET /meal HTTP/1.0\r\n\r\n", b"GET /meal HTTP/1.0\r\n\r\n")
    assert answer.count(b"200 OK") == 1
    assert b"connection: close" in answer


async def test_a_connection_continues_if_the_client_asks_and_the_answer_has_a_length(talk: Any) -> None:
    keep_alive = b"GET /meal HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
    answer = await talk(keep_alive, keep_alive, b"GET /meal HTTP/1.0\r\n\r\n")
    assert answer.count(b"200 OK") == 3
    assert answer.count(b"connection: keep-alive") == 2


async def test_an_answer_to_head_has_no_body(talk: Any) -> None:
    for path in (b"/meal", b"/health/live"):
        answer = await talk(b"HEAD " + path + b" HTTP/1.0\r\n\r\n")
        assert answer.endswith(b"\r\n\r\n")


async def test_a_body_has_a_length(talk: Any) -> None:
    kind = b"POST /orders HTTP/1.0\r\ncontent-type: application/json\r\n"
    assert b" 201 " in await talk(kind + b'content-length: 9\r\n\r\n{"a":"b"}')
    answer = await talk(kind + b'transfer-encoding: chunked\r\n\r\n9\r\n{"a":"b"}\r\n0\r\n\r\n')
    assert b" 400 " in answer
    assert b"HTTP/1.0 has no Transfer-Encoding" in answer


async def test_an_http_1_0_client_gets_no_100_continue(talk: Any) -> None:
    answer = await talk(
        b"POST /orders HTTP/1.0\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n",
        b'content-length: 9\r\n\r\n{"a":"b"}',
    )
    assert answer.startswith(b"HTTP/1.1 201")


async def test_a_host_is_optional_and_must_not_be_repeated(talk: Any) -> None:
    assert b" 200 " in await talk(b"GET /meal HTTP/1.0\r\n\r\n")
    assert b" 400 " in await talk(b"GET /meal HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n")
