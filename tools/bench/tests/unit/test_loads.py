"""The loads that the bench offers, and the readers that count events, against small asyncio servers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from cafeteria.bench import requests
from cafeteria.bench.generator import BenchError, Load, combine
from cafeteria.bench.readers import Reader, Readers, reading
from cafeteria.bench.steady import ClosedLoad, OpenLoad, percentile

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """Serve each connection until its client closes it."""
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await answer(reader, writer)
            await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
        if handlers:
            await asyncio.wait(handlers, timeout=5)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [
        line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    ]
    return head + await reader.readexactly(int(lengths[0]) if lengths else 0)


def answering(status: bytes, *, seen: list[bytes] | None = None, more: bytes = b"") -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(reader)
            if seen is not None:
                seen.append(request)
            writer.write(b"HTTP/1.1 %b\r\n%bcontent-length: 2\r\n\r\n{}" % (status, more))

    return answer


async def test_a_steady_load_sends_the_requested_number_and_counts_the_answers() -> None:
    seen: list[bytes] = []
    async with serving(answering(b"201 Created", seen=seen)) as url:
        load = OpenLoad(url, requests.orders(["token"], ["item"]), rate=200)
        outcome = await load.run(0.25, connections=2)
    assert outcome.sent == 50
    assert outcome.count(201) == 50
    assert len({request.split(b"Idempotency-Key: ")[1].split(b"\r\n")[0] for request in seen}) == 50


async def test_latency_in_a_steady_load_counts_from_the_time_at_which_a_request_was_due() -> None:
    waiting: list[asyncio.StreamWriter] = []

    async def answer_all_after_the_last_request(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await read_request(reader)
        waiting.append(writer)
        if len(waiting) == 4:
            for each in waiting:
                each.write(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")

    async with serving(answer_all_after_the_last_request) as url:
        outcome = await OpenLoad(url, requests.orders(["t"], ["i"]), rate=20).run(0.2, connections=1)
    latencies = outcome.latencies_ms(201)
    assert len(latencies) == 4
    assert latencies[-1] >= 150


async def test_a_steady_load_waits_for_a_request_whose_connection_is_still_being_opened() -> None:
    class SlowToOpen(OpenLoad):
        async def _connect(self) -> None:
            await asyncio.sleep(0.1)  # the delay of a slow network
            await super()._connect()

    async with serving(answering(b"201 Created")) as url:
        outcome = await SlowToOpen(url, requests.orders(["t"], ["i"]), rate=100).run(0.01, connections=0)
    assert (outcome.sent, outcome.count(201)) == (1, 1)


async def test_an_answer_records_whether_it_has_retry_after() -> None:
    async with serving(answering(b"503 Service Unavailable", more=b"Retry-After: 1\r\n")) as url:
        outcome = await OpenLoad(url, requests.orders(["t"], ["i"]), rate=50).run(0.1, connections=1)
    assert [(each.status, each.has_retry_after) for each in outcome.answers] == [(503, True)] * 5


async def test_a_closed_load_sends_the_next_request_after_each_answer() -> None:
    seen: list[bytes] = []
    async with serving(answering(b"200 OK", seen=seen)) as url:
        outcome = await ClosedLoad(url, requests.logins(["a", "b"], "secret")).run(0.5, connections=2)
    assert outcome.count(200) > 4
    bodies = [json.loads(request.split(b"\r\n\r\n")[1]) for request in seen[:4]]
    assert [body["student_id"] for body in bodies] == ["a", "b", "a", "b"]


async def test_a_load_at_a_closed_port_is_reported_in_a_sentence() -> None:
    async with serving(answering(b"200 OK")) as url:
        pass
    with pytest.raises(BenchError, match="Nothing answers"):
        await OpenLoad(url, requests.lists(["t"]), rate=10).run(0.1, connections=1)


async def test_readers_count_a_status_that_is_split_between_two_chunks() -> None:
    pieces = [b"HTTP/1.1 200 OK\r\n\r\n", b'data: {"status":"REA', b'DY"}\n\ndata: {"status":"READY"}\n\n']
    readers = Readers()
    readers.expected = 1
    reader = Reader(readers, b"")
    for piece in pieces:
        reader.data_received(piece)
    assert (readers.open, readers.ready) == (1, 2)


async def test_streams_that_do_not_open_are_reported_in_a_sentence() -> None:
    async with serving(answering(b"401 Unauthorized")) as url:
        with pytest.raises(BenchError, match="Only 0 of 1"):
            async with reading(url, ["token"], within_s=0.1):
                pass


def test_loads_at_several_gateways_are_added_up() -> None:
    one = Load(seconds=2, answers={201: 10, 503: 1}, p50_ms=5, p99_ms=9, max_ms=10, errors=0, timeouts=0)
    other = Load(seconds=2.1, answers={201: 4, 202: 1}, p50_ms=4, p99_ms=11, max_ms=12, errors=1, timeouts=0)
    both = combine([one, other])
    assert both.answers == {201: 14, 202: 1, 503: 1}
    assert (both.accepted, both.p99_ms, both.errors) == (15, 11, 1)


def test_a_percentile_of_nothing_is_zero() -> None:
    assert percentile([], 0.99) == 0.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
