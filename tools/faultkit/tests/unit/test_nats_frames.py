"""The NATS protocol is parsed into the same messages at any split by the network."""

import pytest

from cafeteria.faultkit.nats_frames import NatsError, NatsFrame, NatsFrames

HEADERS = b"NATS/1.0\r\nNats-Msg-Id: 7\r\n\r\n"
BODY = b'{"order_id":"x","text":"a line\r\nPUB in.a.body 3\r\n"}'


def with_payload(line: str, payload: bytes) -> bytes:
    return line.encode() + b"\r\n" + payload + b"\r\n"


MESSAGES = [
    (b'INFO {"server_id":"N","headers":true}\r\n', "INFO", ""),
    (b'CONNECT {"user":"stock","pass":"p"}\r\n', "CONNECT", ""),
    (b"PING\r\n", "PING", ""),
    (b"SUB stock.rpc.v1.reserve stock 4\r\n", "SUB", "stock.rpc.v1.reserve"),
    (b"+OK\r\n", "+OK", ""),
    (b"-ERR 'Slow Consumer'\r\n", "-ERR", ""),
    (with_payload(f"PUB a.b {len(BODY)}", BODY), "PUB", "a.b"),
    (with_payload(f"HPUB a.c _INBOX.1 {len(HEADERS)} {len(HEADERS + BODY)}", HEADERS + BODY), "HPUB", "a.c"),
    (with_payload("MSG a.d 9 0", b""), "MSG", "a.d"),
    (with_payload(f"HMSG a.e 9 $JS.ACK.S.c.1.2.3.4.5 {len(HEADERS)} {len(HEADERS)}", HEADERS), "HMSG", "a.e"),
    (b"PONG\r\n", "PONG", ""),
    (b"UNSUB 9 1\r\n", "UNSUB", ""),
]
WHOLE = b"".join(raw for raw, _, _ in MESSAGES)


def cut(chunks: list[bytes]) -> list[tuple[bytes, str, str]]:
    frames = NatsFrames()
    return [(frame.raw, frame.verb, frame.subject) for chunk in chunks for frame in frames.feed(chunk)]


def only(raw: bytes) -> NatsFrame:
    [frame] = NatsFrames().feed(raw)
    return frame


def test_messages_in_one_chunk_are_returned_one_by_one() -> None:
    assert cut([WHOLE]) == MESSAGES


def test_messages_are_the_same_at_any_split_of_a_chunk() -> None:
    for at in range(1, len(WHOLE)):
        assert cut([WHOLE[:at], WHOLE[at:]]) == MESSAGES, at


def test_messages_are_the_same_when_every_byte_arrives_alone() -> None:
    assert cut([bytes([byte]) for byte in WHOLE]) == MESSAGES


def test_a_message_with_payload_has_headers_body_and_reply_subject() -> None:
    frame = only(with_payload(f"HMSG a.e 9 _INBOX.1 {len(HEADERS)} {len(HEADERS + BODY)}", HEADERS + BODY))
    assert (frame.answer_to, frame.headers, frame.body) == ("_INBOX.1", HEADERS, BODY)
    frame = only(with_payload(f"PUB a.b {len(BODY)}", BODY))
    assert (frame.answer_to, frame.headers, frame.body) == ("", b"", BODY)


def test_arguments_may_have_extra_spaces_and_verbs_small_letters() -> None:
    frame = only(with_payload("pub a.b   2", b"hi"))
    assert (frame.verb, frame.subject, frame.body) == ("PUB", "a.b", b"hi")


def test_a_large_message_is_returned_whole() -> None:
    body = b"\r\n" * 500_000
    raw = with_payload(f"MSG a.b 1 {len(body)}", body)
    frames = NatsFrames()
    chunks = [raw[at : at + 65_536] for at in range(0, len(raw), 65_536)]
    [frame] = [frame for chunk in chunks for frame in frames.feed(chunk)]
    assert frame.body == body


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\n",
        b"\r\n",
        b"PUB a.b\r\n",
        b"PUB a.b many\r\n",
        b"HPUB a.b 9 3\r\nabc\r\n",
        b"PUB a.b 1\r\nabc",
    ],
)
def test_an_invalid_message_is_refused(nonsense: bytes) -> None:
    with pytest.raises(NatsError):
        NatsFrames().feed(nonsense)
