"""The Postgres protocol is parsed into the same messages at any split by the network."""

import struct

import pytest

from cafeteria.crash_points.postgres_frames import PostgresError, PostgresFrames
from cafeteria.faultkit.tcp_proxy import Direction

ENCRYPT = struct.pack("!II", 8, 80877103)
CANCEL = struct.pack("!IIII", 16, 80877102, 7, 9)


def message(letter: bytes, body: bytes = b"") -> bytes:
    return letter + struct.pack("!I", 4 + len(body)) + body


def startup(**settings: str) -> bytes:
    words = b"".join(f"{name}\0{value}\0".encode() for name, value in settings.items()) + b"\0"
    return struct.pack("!II", 8 + len(words), 196608) + words


REQUESTS = [
    (ENCRYPT, "Encrypt"),
    (startup(user="stock", database="cafeteria"), "StartUp"),
    (message(b"p", b"SCRAM-SHA-256\0\0\0\0\3n,,"), "Password"),
    (message(b"P", b"s1\0SELECT 1\0\0\0"), "Parse"),
    (message(b"D", b"Ss1\0"), "Describe"),
    (message(b"H"), "Flush"),
    (message(b"B", b"\0s1\0\0\0\0\0\0\0"), "Bind"),
    (message(b"E", b"\0\0\0\0\0"), "Execute"),
    (message(b"S"), "Sync"),
    (message(b"Q", b"COMMIT;\0"), "Query"),
    (message(b"X"), "Terminate"),
]
REPLIES = [
    (b"N", "EncryptionRefused"),
    (message(b"R", b"\0\0\0\0"), "Authentication"),
    (message(b"S", b"TimeZone\0UTC\0"), "ParameterStatus"),
    (message(b"K", b"\0\0\0\7\0\0\0\t"), "BackendKeyData"),
    (message(b"Z", b"I"), "ReadyForQuery"),
    (message(b"1"), "ParseComplete"),
    (message(b"D", b"\0\1" + struct.pack("!I", 3) + b"NZD"), "DataRow"),
    (message(b"C", b"SELECT 1\0"), "CommandComplete"),
]
CONVERSATIONS = {Direction.REQUESTS: REQUESTS, Direction.REPLIES: REPLIES}


def listening(direction: Direction) -> PostgresFrames:
    """A connection that has sent an encryption request before replies arrive."""
    frames = PostgresFrames()
    if direction is Direction.REPLIES:
        frames.feed(ENCRYPT, Direction.REQUESTS)
    return frames


def cut(frames: PostgresFrames, chunks: list[bytes], direction: Direction) -> list[tuple[bytes, str]]:
    return [(frame.raw, frame.kind) for chunk in chunks for frame in frames.feed(chunk, direction)]


@pytest.mark.parametrize("direction", list(Direction))
def test_messages_in_one_chunk_are_returned_one_by_one(direction: Direction) -> None:
    expected = CONVERSATIONS[direction]
    whole = b"".join(raw for raw, _ in expected)
    assert cut(listening(direction), [whole], direction) == expected


@pytest.mark.parametrize("direction", list(Direction))
def test_messages_are_the_same_at_any_split_of_a_chunk(direction: Direction) -> None:
    expected = CONVERSATIONS[direction]
    whole = b"".join(raw for raw, _ in expected)
    for at in range(1, len(whole)):
        assert cut(listening(direction), [whole[:at], whole[at:]], direction) == expected, at


@pytest.mark.parametrize("direction", list(Direction))
def test_messages_are_the_same_when_every_byte_arrives_alone(direction: Direction) -> None:
    expected = CONVERSATIONS[direction]
    whole = b"".join(raw for raw, _ in expected)
    assert cut(listening(direction), [bytes([byte]) for byte in whole], direction) == expected


def test_no_message_is_returned_before_its_last_byte() -> None:
    frames = PostgresFrames()
    frames.feed(startup(user="stock"), Direction.REQUESTS)
    query = message(b"Q", b"BEGIN\0")
    assert frames.feed(query[:-1], Direction.REQUESTS) == []
    assert [frame.raw for frame in frames.feed(query[-1:], Direction.REQUESTS)] == [query]


def test_a_large_message_is_returned_whole() -> None:
    frames = PostgresFrames()
    frames.feed(startup(user="stock"), Direction.REQUESTS)
    bind = message(b"B", b"\0s1\0" + b"x" * 3_000_000)
    chunks = [bind[at : at + 65_536] for at in range(0, len(bind), 65_536)]
    assert cut(frames, chunks, Direction.REQUESTS) == [(bind, "Bind")]


def test_a_cancel_request_is_the_only_message_of_its_connection() -> None:
    assert cut(PostgresFrames(), [CANCEL], Direction.REQUESTS) == [(CANCEL, "Cancel")]


def test_an_encrypted_connection_cannot_be_parsed() -> None:
    frames = listening(Direction.REPLIES)
    with pytest.raises(PostgresError, match="encryption"):
        frames.feed(b"S", Direction.REPLIES)


@pytest.mark.parametrize("nonsense", [b"?\0\0\0\4", b"Q\0\0\0\3"])
def test_an_invalid_message_is_refused(nonsense: bytes) -> None:
    frames = PostgresFrames()
    frames.feed(startup(user="stock"), Direction.REQUESTS)
    with pytest.raises(PostgresError):
        frames.feed(nonsense, Direction.REQUESTS)
