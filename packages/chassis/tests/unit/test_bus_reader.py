"""Whatever the server sends, and however it is cut into pieces, is read as nats-py reads it."""

from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.protocol.parser import Parser

from cafeteria.chassis.bus.client import BusClient
from cafeteria.chassis.bus.reader import Reader

HEADERS = b"NATS/1.0\r\nNats-Msg-Id: 1\r\ntraceparent: 00-aa-bb-01\r\n\r\n"
STATUS = b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 7\r\n\r\n"


def with_headers(headers: bytes, body: bytes, *, reply: bytes = b"") -> bytes:
    sizes = b"%d %d" % (len(headers), len(headers) + len(body))
    return b"HMSG order.status.v1.kitchen 7 %b%b\r\n%b%b\r\n" % (reply, sizes, headers, body)


def plain(body: bytes, *, sid: int = 7, reply: bytes = b"") -> bytes:
    return b"MSG order.status.v1.kitchen %d %b%d\r\n%b\r\n" % (sid, reply, len(body), body)


MESSAGES = [
    plain(b"{}"),
    plain(b"line\r\nMSG a 7 1\r\n", reply=b"_INBOX_gateway.1 "),
    with_headers(HEADERS, b'{"a": "\r\n"}', reply=b"$JS.ACK.KITCHEN.kitchen-work.1.2.3.4.5 "),
    with_headers(HEADERS, b""),
    with_headers(STATUS, b""),
    plain(b""),
]
FOR_NOBODY = plain(b"no", sid=8)
WIRE = b"PING\r\n%b%b%b%b+OK\r\n%bPONG\r\n%b-ERR 'Permissions Violation'\r\n%b" % (
    *MESSAGES[:5],
    FOR_NOBODY,
    MESSAGES[5],
)


class Heard:
    """A client that writes down what its parser tells it."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, body: bytes, headers: bytes) -> None:
        self.all.append((sid, subject, reply, body, headers or b""))

    async def take_message(self, words: list[bytes], content: bytes) -> None:
        await BusClient.take_message(self, words, content)  # type: ignore[arg-type]

    _takers: dict[int, Any] = {}  # noqa: RUF012 - as the client's, empty

    async def _process_ping(self) -> None:
        self.all.append("ping")

    async def _process_pong(self) -> None:
        self.all.append("pong")

    async def _process_err(self, error: str) -> None:
        self.all.append(error)


async def heard_by(parser_type: type[Parser], pieces: list[bytes]) -> list[Any]:
    client = Heard()
    parser = parser_type(client)
    for piece in pieces:
        await parser.parse(piece)
    assert parser.buf == b""
    return client.all


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 64, len(WIRE)])
async def test_the_same_is_heard_however_the_bytes_are_cut(size: int) -> None:
    pieces = [WIRE[at : at + size] for at in range(0, len(WIRE), size)]
    assert await heard_by(Reader, pieces) == await heard_by(Parser, [WIRE])


async def test_two_pieces_may_meet_anywhere() -> None:
    expected = await heard_by(Parser, [WIRE])
    for cut in range(len(WIRE)):
        assert await heard_by(Reader, [WIRE[:cut], WIRE[cut:]]) == expected


@pytest.mark.parametrize(
    "line",
    [b"MSG a 7 many\r\n", b"MSG a x 2\r\n{}\r\n", b"MSG\r\n", b"HMSG a 7 x 2\r\n{}\r\n", b"NONSENSE\r\n"],
)
async def test_what_is_no_message_of_a_server_is_an_error_of_the_protocol(line: bytes) -> None:
    with pytest.raises(nats.errors.ProtocolError):
        await Reader(Heard()).parse(line)


async def test_what_a_lost_connection_left_half_read_is_forgotten() -> None:
    class Lost(Heard):
        async def _process_err(self, error: str) -> None:
            await super()._process_err(error)
            reader.reset()

    client = Lost()
    reader = Reader(client)
    await reader.parse(b"-ERR 'Stale Connection'\r\nMSG a 7 2\r\n{}\r\nMSG a 7 5\r\nhal")
    await reader.parse(b"PING\r\n")
    assert client.all == ["'stale connection'", "ping"]


def connected_client() -> BusClient:
    client = BusClient()
    client._status = Client.CONNECTED
    return client


async def messages_of(client: BusClient, wire: bytes) -> list[Msg]:
    """What a taker is given, and what a subscription's callback would be."""
    taken: list[Msg] = []
    client._takers[7] = taken.append
    await client._ps.parse(wire)
    return taken


async def test_a_taker_is_given_what_a_callback_would_be() -> None:
    wire = b"".join(
        piece for piece in WIRE.splitlines(keepends=True) if not piece.startswith((b"P", b"-", b"+"))
    )
    theirs = Client()
    heard: list[tuple[Any, ...]] = []

    async def put_down(sid: int, subject: bytes, reply: bytes, body: bytes, headers: bytes) -> None:
        message = theirs._build_message(sid, subject, reply, body, await theirs._process_headers(headers))
        if sid == 7:
            heard.append((message.subject, message.reply, message.data, message.headers))

    theirs._process_msg = put_down  # type: ignore[method-assign,assignment]
    await theirs._ps.parse(wire)
    taken = await messages_of(connected_client(), wire)
    assert [(each.subject, each.reply, each.data, each.headers) for each in taken] == heard
    assert len(heard) == len(MESSAGES)


async def test_one_message_that_its_taker_cannot_stand_does_not_end_the_reading() -> None:
    client, errors, taken = connected_client(), [], []

    async def note(error: Exception) -> None:
        errors.append(error)

    def take(message: Msg) -> None:
        if message.data == b"bad":
            raise ValueError(message.data)
        taken.append(message.data)

    client._error_cb = note
    client._takers[7] = take
    await client._ps.parse(b"MSG a 7 3\r\nbad\r\nMSG a 7 4\r\ngood\r\n")
    assert (taken, [str(error) for error in errors]) == ([b"good"], ["b'bad'"])
