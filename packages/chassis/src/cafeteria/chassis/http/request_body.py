"""The one place where a request's body becomes a value; whatever is wrong with the body is a 400 that says where.

Each route's decoder is made once, when the app is built. It is strict: the string "2", the number 2.0 and true are no
integers. Litestar by itself decodes to plain values, converts them leniently, and answers 500 to bytes that are not
UTF-8.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler

from cafeteria.chassis.http.problem_details import TOO_LARGE_DETAIL, BodyIncomplete, TooLarge
from cafeteria.chassis.http.request_headers import read_header
from cafeteria.chassis.runtime.errors import NotUnderstood

_DECODER = "body_decoder"
"""The key in a route handler's `opt`."""

_BLANKS = b" \t\r\n"
_ENCODER = msgspec.json.Encoder()
_PLAIN = msgspec.json.Decoder()
_LONGEST_FAULT = 300
"""Characters: a fault may quote a member's name, and a client may make that as long as the body."""


class JsonRequest(Request[Any, Any, Any]):
    """A request whose JSON is of the type that its route declares as `data`."""

    _whole_body: bytes | None = None

    async def json(self) -> Any:
        """Raises NotUnderstood, and what `body` raises."""
        decoder: BodyDecoder = self.route_handler.opt[_DECODER]
        return decoder.decode(await self.body())

    async def body(self) -> bytes:
        """Raises TooLarge, and BodyIncomplete."""
        if self._whole_body is None:
            self._whole_body = await self._read_body()
        return self._whole_body

    async def _read_body(self) -> bytes:
        """Litestar's own way makes a mapping of all headers to find one of them: a tenth of a request's CPU."""
        limit = self.route_handler.resolve_request_max_body_size() or math.inf
        announced = read_header(self.scope["headers"], b"content-length")
        size = int(announced) if announced else 0  # digits: the server has read it before
        parts: list[bytes] = []
        received, is_more = 0, True
        while is_more and size <= limit:
            message: Any = await self.receive()
            if message["type"] == "http.disconnect":
                raise BodyIncomplete
            parts.append(message["body"])
            received += len(parts[-1])
            size = max(size, received)
            is_more = message.get("more_body", False)
        if size > limit:
            raise TooLarge(TOO_LARGE_DETAIL)
        return b"".join(parts)


def prepare_body(handler: HTTPRouteHandler) -> None:
    """Make the decoder of a route that takes a body."""
    field = handler.parsed_fn_signature.parameters.get("data")
    if field is not None:
        handler.opt[_DECODER] = BodyDecoder(field.annotation)


class BodyDecoder:
    """Decodes JSON strictly to `kind`; a member that occurs twice, and a text with NUL, are refused as well.

    Of two members with one name each reader takes another; and Postgres cannot store NUL.
    """

    def __init__(self, kind: Any) -> None:
        self._decoder = msgspec.json.Decoder(kind, strict=True)

    def decode(self, body: bytes) -> Any:
        """Raises NotUnderstood."""
        try:
            value = self._decoder.decode(body)
            plain = _decode_plain(body)
        except Exception as error:
            # bytes, nesting, numbers: whatever a decoder cannot take was sent by the client
            raise NotUnderstood(_fault_of(error, body)[:_LONGEST_FAULT]) from error
        if b"\\u0000" in body:
            for fault in _nul_in(plain, "body"):
                raise NotUnderstood(fault[:_LONGEST_FAULT])
        return value


class _MemberRepeated(ValueError):
    pass


def _decode_plain(body: bytes) -> Any:
    """Plain values. Raises _MemberRepeated; where encoding them gives the body again, no member was dropped."""
    plain = _PLAIN.decode(body)
    again = _ENCODER.encode(plain)
    if again != body and again.translate(None, _BLANKS) != body.translate(None, _BLANKS):
        _UNIQUE_MEMBERS.decode(body.decode())  # looks at each object; ten times slower
    return plain


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _MemberRepeated(", ".join(sorted({name for name, _ in pairs if _count(name, pairs) > 1})))
    return members


def _count(name: str, pairs: list[tuple[str, Any]]) -> int:
    return sum(each == name for each, _ in pairs)


_UNIQUE_MEMBERS = json.JSONDecoder(object_pairs_hook=_unique_members)


def _fault_of(error: Exception, body: bytes) -> str:
    match error:
        case msgspec.ValidationError():
            message, _, place = str(error).rpartition(" - at `$")
            return f"body{place.rstrip('`')}: {message}" if message else f"body: {place}"
        case _MemberRepeated():
            return f"body: a member occurs more than once in one object: {error}"
        case msgspec.DecodeError():
            return f"body: {'an escaped surrogate stands alone' if _is_whole(body) else error}"
        case UnicodeDecodeError():
            return f"body: the text is not UTF-8 (byte {_first_foreign_byte(body)})"
        case RecursionError():
            return "body: the JSON is nested too deeply"
        case _:
            return "body: the JSON cannot be decoded"


def _is_whole(body: bytes) -> bool:
    """Whether it is JSON but for surrogates, which the standard library lets stand alone, and NaN, which it takes."""
    try:
        json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _first_foreign_byte(body: bytes) -> int:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _nul_in(value: Any, place: str) -> Iterator[str]:
    match value:
        case str() if "\0" in value:
            yield f"{place}: a text has the character NUL"
        case dict():
            for name, each in value.items():
                if "\0" in name:
                    yield f"{place}: a member's name has the character NUL"
                yield from _nul_in(each, f"{place}.{name}")
        case list():
            for index, each in enumerate(value):
                yield from _nul_in(each, f"{place}[{index}]")
