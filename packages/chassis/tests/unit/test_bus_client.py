"""What stands in for a piece of nats-py does what that piece does."""

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
