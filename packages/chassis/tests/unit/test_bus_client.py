"""What stands in for a piece of nats-py does what that piece does."""

import asyncio
from unittest.mock import AsyncMock

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from cafeteria.chassis.bus.client import BusClient, stream_sequence

HEADER_BLOCKS = [
    b"Nats-Msg-Id: 1\r\nCafeteria-Type: order.status-changed.v1\r\n\r\n",
    b"traceparent:00-aa-bb-01\r\nEmpty:\r\n\r\n",
    b"Name:\tvalue with : colons \r\n\r\n",
    "Name: Ma\u0161a\r\n\r\n".encode(),
    b"no separator\r\nLast: wins\r\nLast: twice\r\n\r\n",
    b"",
]
REPLIES = [
    "$JS.ACK.NOTIFICATION.gateway-projection.1.123456.77.1763800000000000000.12",
    "$JS.ACK.hub.ACCOUNTHASH.KITCHEN.kitchen-work.3.42.17.1763800000000000000.0.r4nd0m",
]


@pytest.mark.parametrize("raw", HEADER_BLOCKS)
def test_headers_are_read_as_nats_py_reads_them(raw: bytes) -> None:
    assert BusClient._parse_header_lines(raw) == Client._parse_header_lines(raw)


def test_the_client_calls_the_piece_that_is_replaced() -> None:
    """A release of nats-py that reads headers elsewhere must not go unnoticed."""
    assert "_parse_header_lines" in Client._process_headers.__code__.co_names


@pytest.mark.parametrize("reply", REPLIES)
def test_a_sequence_is_read_as_nats_py_reads_it(reply: str) -> None:
    assert stream_sequence(reply) == Msg.Metadata._from_reply(reply).sequence.stream


HEADERS = [
    None,
    {},
    {"Nats-Msg-Id": "1", "traceparent": "00-aa-bb-01"},
    {"Nats-Service-Error": "two\nlines", "Nats-Service-Error-Code": "400"},
    {"Nats-Service-Error": "ma\u0161a"},
    {"Empty": ""},
]


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("reply", ["", "_INBOX_gateway.1"])
async def test_what_is_published_are_the_bytes_that_nats_py_would_send(
    headers: dict[str, str] | None, reply: str
) -> None:
    ours, theirs = BusClient(), Client()
    for client in (ours, theirs):
        await client._send_publish("order.status.v1.gateway", reply, b"{}", 2, headers)
    assert ours._pending == theirs._pending
    assert ours.stats == theirs.stats


async def test_requests_that_are_given_up_or_cancelled_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = BusClient()
    client._status = Client.CONNECTED
    client._resp_sub_prefix = bytearray(b"_INBOX_gateway.1.")
    monkeypatch.setattr(client, "publish", AsyncMock())
    with pytest.raises(nats.errors.TimeoutError):
        await client.request("stock.rpc.v1.reserve", b"{}", timeout=0.01)
    waiting = asyncio.create_task(client.request("stock.rpc.v1.reserve", b"{}", timeout=60))
    await asyncio.sleep(0)
    assert client._resp_map
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert client._resp_map == {}


async def test_a_request_before_the_first_connection_leaves_nothing_to_be_sent() -> None:
    """A connection that fails with something left to say fails for good."""
    client = BusClient()
    client._status, client._max_pending_size = Client.CONNECTING, -1
    with pytest.raises(nats.errors.OutboundBufferLimitError):
        await client.request("stock.rpc.v1.reserve", b"{}", timeout=1)
    assert (client._pending, client._subs, client._resp_map) == ([], {}, {})


@pytest.mark.parametrize("headers", HEADERS)
async def test_what_is_published_together_are_the_bytes_of_each(headers: dict[str, str] | None) -> None:
    together, apart = BusClient(), BusClient()
    messages = [("$JS.ACK.1", b"+ACK", None), ("order.status.v1.gateway", b"{}", headers), ("a", b"", None)]
    for client in (together, apart):
        client._status, client._max_payload = Client.CONNECTED, 1024
    await together.publish_all(messages)
    for subject, payload, each in messages:
        await apart.publish(subject, payload, headers=each)
    assert b"".join(together._pending) == b"".join(apart._pending)
    assert together.stats == apart.stats


async def test_nothing_is_published_together_that_could_not_be_alone() -> None:
    client = BusClient()
    client._status, client._max_payload, client._max_pending_size = Client.CONNECTED, 8, -1
    with pytest.raises(nats.errors.MaxPayloadError):
        await client.publish_all([("a", b"12345678", None), ("a", b"123456789", None)])
    client._status = Client.RECONNECTING
    with pytest.raises(nats.errors.OutboundBufferLimitError):
        await client.publish_all([("a", b"1", None)])
