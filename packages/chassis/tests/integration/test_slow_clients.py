"""The server ends clients that send nothing, send only a part or do not read, and answers if a request has begun.

The server's seconds are fifty times as short here.
"""

import asyncio
import ctypes
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import structlog
from litestar import Request, get, post
from litestar.params import JSONBody
from litestar.response import Stream

from cafeteria.chassis.app import build_app
from cafeteria.chassis.http import uvicorn_server
from cafeteria.chassis.http.uvicorn_protocol import HttpProtocol
from cafeteria.chassis.process import serving
from cafeteria.chassis.runtime.settings import ServiceSettings, load_settings
from cafeteria.testkit.plugin import until

ENVIRON = {
    "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:1/cafeteria",
    "CAFETERIA_POSTGRES_PASSWORD": "x",
    "CAFETERIA_NATS_URL": "nats://127.0.0.1:1",
    "CAFETERIA_NATS_PASSWORD": "x",
}
SO_ATTACH_FILTER = 26
"""Of Linux; Python has no name for it."""

SECOND_S = 0.02
LONG_SECOND_S = 0.5
"""For clients that must be in time: a busy machine may delay them by two of the server's seconds."""

JSON = b"POST /orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@post("/orders")
async def order(data: JSONBody[dict[str, str]], request: Request[Any, Any, Any]) -> dict[str, str]:
    request.app.state.orders.append(data)
    return data


@post("/bodiless")
async def bodiless(request: Request[Any, Any, Any]) -> str:
    """Read no body, and answer late."""
    request.app.state.orders.append({})
    await asyncio.sleep(60 * SECOND_S)
    return "done"


@get("/events")
async def events(request: Request[Any, Any, Any]) -> Stream:
    async def blocks() -> AsyncIterator[bytes]:
        yield b": open\n\n"
        await request.app.state.closing.wait()

    return Stream(blocks(), media_type="text/event-stream")


@get("/flood")
async def flood(request: Request[Any, Any, Any]) -> Stream:
    async def blocks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 2**20
                await asyncio.sleep(0)
        finally:
            request.app.state.flood_ended.set()

    return Stream(blocks(), media_type="text/event-stream")


@pytest.fixture
def environ() -> dict[str, str]:
    return {}


@pytest.fixture
async def app(environ: dict[str, str]) -> Any:
    built = build_app(
        service="probe",
        settings=load_settings(ServiceSettings, {**ENVIRON, **environ}),
        route_handlers=[order, bodiless, events, flood],
        checks={},
    )
    built.state.orders, built.state.flood_ended = [], asyncio.Event()
    return built


@pytest.fixture
def second_s() -> float:
    return SECOND_S


@pytest.fixture
async def url(app: Any, second_s: float, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setattr(uvicorn_server, "LOOK_S", second_s)
    async with serving(app) as url:
        yield url


@pytest.fixture
async def connect(url: str) -> AsyncIterator[Any]:
    host, port = url.removeprefix("http://").split(":")
    writers: list[asyncio.StreamWriter] = []

    async def connect(sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(host, int(port))
        writers.append(writer)
        writer.write(sent)
        return reader, writer

    yield connect
    for writer in writers:
        writer.close()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """Return the server's bytes until it closes."""
    async with asyncio.timeout(20):
        return await reader.read()


async def trickle(writer: asyncio.StreamWriter, byte: bytes) -> None:
    with suppress(ConnectionError):
        while True:
            writer.write(byte)
            await writer.drain()
            await asyncio.sleep(2 * SECOND_S)


def problem(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"connection: close" in head
    document = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d" % document["status"])
    return document["status"], document["detail"]


async def test_a_connection_that_sends_nothing_is_closed_without_an_answer(connect: Any) -> None:
    reader, _ = await connect()
    newlines, _ = await connect(b"\r\n\r\n")
    assert await asyncio.gather(read_all(reader), read_all(newlines)) == [b"", b""]


async def test_an_incomplete_head_is_answered_with_408(connect: Any) -> None:
    half, _ = await connect(b"GET /orders HTTP/1.1\r\nhost: x\r\n")
    endless, writer = await connect(b"GET /orders HTTP/1.1\r\nhost: x\r\nslow: ")
    trickling = asyncio.create_task(trickle(writer, b"a"))
    answers = await asyncio.gather(read_all(half), read_all(endless))
    trickling.cancel()
    assert [problem(answer)[0] for answer in answers] == [408, 408]


async def test_an_idle_connection_is_closed(connect: Any) -> None:
    reader, _ = await connect(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await read_all(reader)).endswith(b'{"status":"ok"}')


@pytest.mark.parametrize(
    "framing", [b"content-length: 1000\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"]
)
async def test_a_body_that_does_not_arrive_is_408_and_nothing_is_executed(
    app: Any, connect: Any, framing: bytes
) -> None:
    silent, _ = await connect(JSON + framing)
    slow, writer = await connect(JSON + framing)
    trickling = asyncio.create_task(trickle(writer, b"1\r\n \r\n" if b"chunked" in framing else b" "))
    with structlog.testing.capture_logs() as lines:
        answers = await asyncio.gather(read_all(silent), read_all(slow))
    trickling.cancel()
    assert [problem(answer)[0] for answer in answers] == [408, 408]
    assert all(b'"instance":"/orders"' in answer for answer in answers)  # from the app
    assert app.state.orders == []
    assert {line["log_level"] for line in lines} <= {"info", "debug"}


async def test_a_large_body_at_a_sufficient_rate_is_accepted(app: Any, connect: Any) -> None:
    text = "a" * 15_000
    body = json.dumps({"a": text}).encode()
    reader, writer = await connect(JSON + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body))
    for start in range(0, len(body), 1000):  # about fifteen of the server's seconds
        writer.write(body[start : start + 1000])
        await asyncio.sleep(SECOND_S)
    assert (await read_all(reader)).startswith(b"HTTP/1.1 201")
    assert app.state.orders == [{"a": text}]


async def test_a_handler_that_needs_no_body_answers_although_the_body_does_not_arrive(
    app: Any, connect: Any
) -> None:
    """The answer confirms what was done; the connection ends with it."""
    reader, _ = await connect(b"POST /bodiless HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n1")
    answer = await read_all(reader)
    assert answer.startswith(b"HTTP/1.1 201")
    assert b"connection: close" in answer
    assert app.state.orders == [{}]


async def test_an_incomplete_second_request_is_refused_after_the_first_ones_answer(connect: Any) -> None:
    reader, _ = await connect(b"POST /bodiless HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\nGET /half")
    answer = await read_all(reader)
    first, _, second = answer.partition(b"HTTP/1.1 408")
    assert first.startswith(b"HTTP/1.1 201")
    assert second


async def test_an_open_stream_is_not_slow(connect: Any) -> None:
    reader, writer = await connect(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b": open\n\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(), timeout=150 * SECOND_S)
    writer.close()


async def test_a_client_that_does_not_read_its_answer_is_cut_off_and_the_task_ends(
    app: Any, url: str
) -> None:
    address = httpx.URL(url)
    with (
        socket.create_connection((address.host, address.port)) as idle,
        structlog.testing.capture_logs() as lines,
    ):
        idle.sendall(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.wait_for(app.state.flood_ended.wait(), timeout=20)
    assert {line["log_level"] for line in lines} <= {"info", "debug"}


@pytest.fixture
def capped(environ: dict[str, str]) -> dict[str, str]:
    environ["CAFETERIA_MAX_CONNECTIONS_PER_ADDRESS"] = "2"
    return environ


@pytest.fixture
def read_by_server(monkeypatch: pytest.MonkeyPatch) -> bytearray:
    """The bytes that the server has read, of any connection."""
    read, data_received = bytearray(), HttpProtocol.data_received

    def record(protocol: HttpProtocol, data: bytes) -> None:
        read.extend(data)
        data_received(protocol, data)

    monkeypatch.setattr(HttpProtocol, "data_received", record)
    return read


@pytest.mark.parametrize("second_s", [LONG_SECOND_S])
async def test_over_an_addresss_cap_requests_get_503_and_health_is_answered(
    capped: dict[str, str], connect: Any, url: str
) -> None:
    streams = [await connect(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n") for _ in range(2)]
    for reader, _ in streams:
        await reader.readuntil(b": open\n\n")
    async with httpx.AsyncClient(base_url=url) as client:
        refused = await client.post("/orders", json={})
        assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert refused.headers["retry-after"]
        assert refused.json()["type"] == "/problems/overloaded"
        assert (await client.get("/health/live")).json() == {"status": "ok"}
        silent, _ = await connect()
        assert problem(await read_all(silent))[0] == httpx.codes.SERVICE_UNAVAILABLE
        streams[0][1].close()

        async def is_accepted() -> bool:
            return (await client.post("/orders", json={})).status_code == httpx.codes.CREATED

        await until(is_accepted)  # once the server has noticed the end of the stream


@pytest.mark.parametrize("second_s", [LONG_SECOND_S])
@pytest.mark.parametrize("sent", [b"", b"GET /half", JSON + b"content-length: 10\r\n\r\n{"])
async def test_a_connection_without_a_complete_request_is_evicted_for_a_newer_one(
    capped: dict[str, str], app: Any, connect: Any, read_by_server: bytearray, sent: bytes
) -> None:
    oldest, _ = await connect(sent)
    await until(lambda: read_by_server == sent)
    younger, _ = await connect(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n")
    await younger.readuntil(b": open\n\n")
    newest, _ = await connect(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n")
    await newest.readuntil(b": open\n\n")
    answer = await read_all(oldest)
    assert (problem(answer)[0] if sent else answer) == (503 if sent else b"")
    assert app.state.orders == []


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux can limit it")
async def test_the_stream_of_a_client_that_lost_its_network_is_closed(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvicorn_server, "GONE_S", 1)
    lost: list[Exception | None] = []
    connection_lost = HttpProtocol.connection_lost

    def record(protocol: HttpProtocol, error: Exception | None) -> None:
        lost.append(error)
        connection_lost(protocol, error)

    monkeypatch.setattr(HttpProtocol, "connection_lost", record)
    async with serving(app) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            lose_what_arrives(client)
            client.sendall(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n")
            await until(lambda: lost)
    assert isinstance(lost[0], TimeoutError)


def lose_what_arrives(client: socket.socket) -> None:
    """Let the kernel drop every packet to this socket before it acknowledges one."""
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0 bytes
    program = struct.pack("HL", 1, ctypes.addressof(drop))
    client.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
