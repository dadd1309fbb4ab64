"""The malice faults report a server that fails and accept one that refuses."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from cafeteria.rush.faults.fault import HarmDoneError
from cafeteria.rush.faults.malicious_clients import MALICE, SilentSockets

BROKEN = [fault for fault in MALICE if not isinstance(fault, SilentSockets)]


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[Any]:
    """Serve this one answer to every request; yields a cluster with the parts that these faults use."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # a silent socket ends without a request
            received.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        urls = SimpleNamespace(gateways=(url,), notifications=(url,), identity=url)
        student = SimpleNamespace(authorization={"Authorization": "Bearer t"})
        yield SimpleNamespace(urls=urls, students=[student], received=received)


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.name)
async def test_an_internal_error_is_harm(fault: Any) -> None:
    async with answering(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n") as cluster:
        with pytest.raises(HarmDoneError, match="500"):
            await fault.inject(cluster, random.Random(1))  # noqa: S311 - repeatable on purpose


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.name)
@pytest.mark.parametrize("status", [b"400 Bad Request", b"503 Service Unavailable"])
async def test_a_refusal_is_not_harm(fault: Any, status: bytes) -> None:
    async with answering(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n") as cluster:
        assert "answers" in await fault.inject(cluster, random.Random(1))  # noqa: S311 - repeatable on purpose
        assert all(b"POST /v1/orders" in request for request in cluster.received)


async def test_silent_sockets_end_when_the_server_closes_them() -> None:
    async with answering(b"") as cluster:
        assert "sockets for" in await SilentSockets().inject(cluster, random.Random(1))  # noqa: S311 - repeatable on purpose
