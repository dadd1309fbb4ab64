"""NATS' client protocol cut into messages: no byte is added, lost or moved.

A message is a line, and for four verbs also a payload whose size is at the end of that line. A message is returned as
soon as its last byte has arrived; bytes of the next one are buffered.
"""

from collections.abc import Iterator

import msgspec

END_OF_LINE = b"\r\n"
LONGEST_LINE_BYTES = 1 << 20  # INFO and CONNECT are a few hundred; a longer line is not NATS

_CARRIERS = {b"PUB": (2, 3), b"HPUB": (3, 4), b"MSG": (3, 4), b"HMSG": (4, 5)}
"""Verbs with a payload: how many arguments follow them, without and with a reply subject."""
_VERBS = _CARRIERS.keys() | set(b"INFO CONNECT SUB UNSUB PING PONG +OK -ERR".split())


class NatsError(Exception):
    """The bytes do not follow NATS' client protocol."""


class NatsFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `raw` has all its bytes; `headers` and `body` are empty where there are none."""

    verb: str
    raw: bytes
    subject: str = ""
    answer_to: str = ""
    """The subject on which the sender expects the reply."""
    headers: bytes = b""
    body: bytes = b""


class NatsFrames:
    """Cuts one direction of one connection into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[NatsFrame]:
        """Return the messages that `chunk` completes. Raises NatsError."""
        self._buffer += chunk
        return list(self._cut())

    def _cut(self) -> Iterator[NatsFrame]:
        while (frame := self._next()) is not None:
            del self._buffer[: len(frame.raw)]
            yield frame

    def _next(self) -> NatsFrame | None:
        end = self._buffer.find(END_OF_LINE)
        if end < 0:
            if len(self._buffer) > LONGEST_LINE_BYTES:
                raise NatsError(f"a line that begins with {bytes(self._buffer[:40])!r} and does not end")
            return None
        line = bytes(self._buffer[:end])
        verb, *words = line.split() or [b""]
        verb = verb.upper()
        if verb not in _VERBS:
            raise NatsError(f"a line that begins with {line[:40]!r}")
        line_bytes = end + len(END_OF_LINE)
        if verb in _CARRIERS:
            return self._carrier(verb, words, line_bytes)
        return NatsFrame(
            verb=verb.decode(), raw=bytes(self._buffer[:line_bytes]), subject=_first(verb, words)
        )

    def _carrier(self, verb: bytes, words: list[bytes], line_bytes: int) -> NatsFrame | None:
        try:
            header_bytes, payload_bytes = _sizes(verb, words)
        except ValueError as error:
            raise NatsError(f"{verb.decode()} with {words!r}") from error
        whole = line_bytes + payload_bytes + len(END_OF_LINE)
        if len(self._buffer) < whole:
            return None
        raw = bytes(self._buffer[:whole])
        if not raw.endswith(END_OF_LINE):
            raise NatsError(f"{verb.decode()} with a payload that is longer than its length")
        payload = raw[line_bytes : whole - len(END_OF_LINE)]
        has_answer = len(words) == _CARRIERS[verb][1]
        answer_at = 1 if verb.endswith(b"PUB") else 2
        return NatsFrame(
            verb=verb.decode(),
            raw=raw,
            subject=words[0].decode(),
            answer_to=words[answer_at].decode() if has_answer else "",
            headers=payload[:header_bytes],
            body=payload[header_bytes:],
        )


def _sizes(verb: bytes, words: list[bytes]) -> tuple[int, int]:
    """Return the size of the headers, and of headers and body together, in bytes."""
    if len(words) not in _CARRIERS[verb]:
        raise ValueError(f"{len(words)} words")
    payload_bytes = int(words[-1])
    header_bytes = int(words[-2]) if verb.startswith(b"H") else 0
    if not 0 <= header_bytes <= payload_bytes:
        raise ValueError(f"{header_bytes} of {payload_bytes} bytes")
    return header_bytes, payload_bytes


def _first(verb: bytes, words: list[bytes]) -> str:
    return words[0].decode() if verb == b"SUB" and words else ""
