"""Postgres' protocol, version 3, cut into messages: no byte is added, lost or moved.

A message is returned as soon as its last byte has arrived; bytes of the next one are buffered. The code decodes only
what it needs to separate the messages.
"""

import struct
from collections.abc import Iterator

import msgspec

from cafeteria.faultkit.tcp_proxy import Direction

HEADER_BYTES = 5  # a letter, and a length that counts itself but not the letter
LENGTH_BYTES = 4
STARTUP_BYTES = 8  # a length and a code, before letters are used

CANCEL, ENCRYPT_TLS, ENCRYPT_GSS = 80877102, 80877103, 80877104
"""Request codes that a start-up message carries instead of a protocol version."""

REQUEST_KINDS = {
    b"B": "Bind",
    b"C": "Close",
    b"D": "Describe",
    b"E": "Execute",
    b"F": "FunctionCall",
    b"H": "Flush",
    b"P": "Parse",
    b"Q": "Query",
    b"S": "Sync",
    b"X": "Terminate",
    b"c": "CopyDone",
    b"d": "CopyData",
    b"f": "CopyFail",
    b"p": "Password",
}
REPLY_KINDS = {
    b"1": "ParseComplete",
    b"2": "BindComplete",
    b"3": "CloseComplete",
    b"A": "NotificationResponse",
    b"C": "CommandComplete",
    b"D": "DataRow",
    b"E": "ErrorResponse",
    b"G": "CopyInResponse",
    b"H": "CopyOutResponse",
    b"I": "EmptyQueryResponse",
    b"K": "BackendKeyData",
    b"N": "NoticeResponse",
    b"R": "Authentication",
    b"S": "ParameterStatus",
    b"T": "RowDescription",
    b"V": "FunctionCallResponse",
    b"W": "CopyBothResponse",
    b"Z": "ReadyForQuery",
    b"c": "CopyDone",
    b"d": "CopyData",
    b"n": "NoData",
    b"s": "PortalSuspended",
    b"t": "ParameterDescription",
    b"v": "NegotiateProtocolVersion",
}


class PostgresError(Exception):
    """The bytes do not follow Postgres' protocol, or they are encrypted."""


class PostgresFrame(msgspec.Struct, frozen=True):
    """One message. `raw` has all its bytes, `body` those after letter and length."""

    kind: str
    raw: bytes

    @property
    def body(self) -> bytes:
        return self.raw[HEADER_BYTES:]


class PostgresFrames:
    """Cuts both directions of one connection: the server's answer to an encryption request has no frame."""

    def __init__(self) -> None:
        self._buffers = {direction: bytearray() for direction in Direction}
        self._has_started = False
        self._encryption_wishes = 0

    def feed(self, chunk: bytes, direction: Direction) -> list[PostgresFrame]:
        """Return the messages that `chunk` completes. Raises PostgresError."""
        buffer = self._buffers[direction]
        buffer += chunk
        cut = self._requests if direction is Direction.REQUESTS else self._replies
        return list(cut(buffer))

    def _requests(self, buffer: bytearray) -> Iterator[PostgresFrame]:
        while not self._has_started:
            frame = _cut_startup(buffer)
            if frame is None:
                return
            if frame.kind == "Encrypt":
                self._encryption_wishes += 1
            else:
                self._has_started = True
            yield frame
        yield from _cut_lettered(buffer, REQUEST_KINDS)

    def _replies(self, buffer: bytearray) -> Iterator[PostgresFrame]:
        while self._encryption_wishes and buffer:
            answer = bytes(buffer[:1])
            if answer != b"N":
                raise PostgresError(f"the server answers {answer!r} to an encryption request")
            del buffer[:1]
            self._encryption_wishes -= 1
            yield PostgresFrame("EncryptionRefused", answer)
        yield from _cut_lettered(buffer, REPLY_KINDS)


def _cut_startup(buffer: bytearray) -> PostgresFrame | None:
    if len(buffer) < STARTUP_BYTES:
        return None
    length, code = struct.unpack_from("!II", buffer)
    if length < STARTUP_BYTES:
        raise PostgresError(f"a first message of {length} bytes")
    if len(buffer) < length:
        return None
    raw = bytes(buffer[:length])
    del buffer[:length]
    kind = {CANCEL: "Cancel", ENCRYPT_TLS: "Encrypt", ENCRYPT_GSS: "Encrypt"}.get(code, "StartUp")
    return PostgresFrame(kind, raw)


def _cut_lettered(buffer: bytearray, kinds: dict[bytes, str]) -> Iterator[PostgresFrame]:
    while len(buffer) >= HEADER_BYTES:
        letter = bytes(buffer[:1])
        (length,) = struct.unpack_from("!I", buffer, 1)
        if letter not in kinds or length < LENGTH_BYTES:
            raise PostgresError(f"a message that begins with {bytes(buffer[:HEADER_BYTES])!r}")
        if len(buffer) < 1 + length:
            return
        raw = bytes(buffer[: 1 + length])
        del buffer[: 1 + length]
        yield PostgresFrame(kinds[letter], raw)
