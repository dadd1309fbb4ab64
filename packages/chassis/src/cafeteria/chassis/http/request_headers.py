"""Read request headers, as bytes, and refuse a repeated header that may occur only once.

A header in two lines has two values, and two readers may each use a different one. Only HTTP's own blanks, space and
tab, are stripped from a value: other blanks of Unicode are part of it, and are refused where the value has to be
visible ASCII.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from litestar.openapi.spec import OpenAPIType, Operation, Parameter, Schema

from cafeteria.chassis.runtime.errors import NotUnderstood, ServiceError
from cafeteria.contracts.problems import ProblemCode

RequestHeaders = Iterable[tuple[bytes, bytes]]
"""ASGI's pairs of name and value, with names in lower case."""

IDEMPOTENCY_KEY = b"idempotency-key"

SINGLE_HEADERS = frozenset(
    {
        b"access-control-request-method",
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        IDEMPOTENCY_KEY,
        b"last-event-id",
        b"origin",
    }
)
"""Headers that decide what is done, so each has one value: a request that repeats one of them is refused."""

KEY_LIMIT = 255
"""Characters, without quotes and backslashes."""

_BARE_KEY = re.compile(rb"[!#-+\--~][!-+\--~]*")
_QUOTED_KEY = re.compile(rb'"((?:[!#-\[\]-~]|\\["\\])+)"')
KEY_PATTERN = (
    r'^([!#-+\--~][!-+\--~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")(?![\s\S])'  # both as above, in one
)
_UTF_8 = frozenset({b"utf-8", b"utf8", b"us-ascii", b"ascii"})
_ESCAPED = re.compile(rb"\\(.)")


class HeaderUnusable(NotUnderstood):
    """One header occurs twice, or its value is not valid."""

    def __init__(self, name: bytes, fault: str) -> None:
        super().__init__(f"header.{name.decode('latin-1').title()}: {fault}")


class IdempotencyKeyUnusable(ServiceError):
    """The key is absent where it is needed, or is not 1 to 255 visible ASCII characters in one line."""

    code = ProblemCode.IDEMPOTENCY_KEY_MISSING
    status = 400
    title = "Idempotency-Key missing"

    def __init__(self) -> None:
        super().__init__(
            "Send one Idempotency-Key header of 1 to 255 visible ASCII characters, a comma only in quotes: a new"
            " key for each new request, the same for each repeat of it. Nothing was done."
        )


def read_header(headers: RequestHeaders, name: bytes) -> bytes | None:
    """The value; None without the header. Raises HeaderUnusable if the header occurs more than once."""
    found = [value for each, value in headers if each == name]
    if not found:
        return None
    if len(found) > 1:
        raise HeaderUnusable(name, "it occurs more than once")
    return found[0].strip(b" \t")


def refuse_repeated(headers: RequestHeaders) -> None:
    """Raise HeaderUnusable if one of SINGLE_HEADERS occurs more than once."""
    for name in SINGLE_HEADERS:
        read_header(headers, name)


def without_repeated(headers: RequestHeaders, names: Iterable[bytes]) -> dict[bytes, bytes]:
    """The headers by name, without repeated ones of `names`: only for tracing, where two values equal none."""
    found = dict(headers)
    for name in names:
        if sum(each == name for each, _ in headers) > 1:
            del found[name]
    return found


def read_cookie(headers: RequestHeaders, name: bytes) -> bytes | None:
    """The cookie's value without quotes; None if it is absent or empty. Cookies may be in several lines.

    Raises HeaderUnusable if two have this name: the service cannot tell which one a page of another host has set.
    """
    values = read_cookies(headers, name)
    if len(values) > 1:
        raise HeaderUnusable(b"cookie", f"{name.decode()} occurs more than once")
    return values[0] or None if values else None


def read_cookies(headers: RequestHeaders, name: bytes) -> list[bytes]:
    """The values of all cookies with this name, without quotes."""
    start = name + b"="
    lines = (value for each, value in headers if each == b"cookie")
    cookies = (part.strip(b" \t") for line in lines for part in line.split(b";"))
    return [cookie[len(start) :].strip(b'" \t') for cookie in cookies if cookie.startswith(start)]


def is_json(content_type: bytes) -> bool:
    """Whether a `Content-Type` is JSON in UTF-8, the one encoding that JSON has on the net (RFC 8259)."""
    media_type, *parameters = content_type.lower().split(b";")
    media_type = media_type.strip(b" \t")
    if media_type != b"application/json" and not media_type.endswith(b"+json"):
        return False
    pairs = (parameter.partition(b"=") for parameter in parameters)
    charsets = {value.strip(b'" \t') for name, _, value in pairs if name.strip(b" \t") == b"charset"}
    return charsets <= _UTF_8


def read_idempotency_key(headers: RequestHeaders) -> str | None:
    """The key, bare or as a quoted string of RFC 9651: `"k"` and `k` are the same key. None without the header.

    A bare key has no comma, because proxies join two lines of a header with one: the service could not tell the
    list from the key. Raises IdempotencyKeyUnusable; HeaderUnusable for two lines.
    """
    value = read_header(headers, IDEMPOTENCY_KEY)
    if value is None:
        return None
    quoted = _QUOTED_KEY.fullmatch(value)
    key = _ESCAPED.sub(rb"\1", quoted[1]) if quoted else value
    if len(key) > KEY_LIMIT or not (quoted or _BARE_KEY.fullmatch(key)):
        raise IdempotencyKeyUnusable
    return key.decode("ascii")


def require_idempotency_key(headers: RequestHeaders) -> str:
    """As `read_idempotency_key`, but raises IdempotencyKeyUnusable without the header."""
    key = read_idempotency_key(headers)
    if key is None:
        raise IdempotencyKeyUnusable
    return key


@dataclass
class KeyedOperation(Operation):
    """For a route's `operation_class`: documents a required Idempotency-Key."""

    is_required: ClassVar[bool] = True

    def __post_init__(self) -> None:
        header = Parameter(
            name="Idempotency-Key",
            param_in="header",
            required=self.is_required,
            schema=Schema(type=OpenAPIType.STRING, pattern=KEY_PATTERN),
            description="1 to 255 visible ASCII characters, bare or in quotes, a comma only in quotes;"
            " the same for each repeat of one request.",
        )
        self.parameters = [*(self.parameters or []), header]


@dataclass
class OptionallyKeyedOperation(KeyedOperation):
    """For a route's `operation_class`: documents an optional Idempotency-Key."""

    is_required: ClassVar[bool] = False
