"""Every request header is read here, as bytes: one that may occur once is refused when it occurs twice.

A header that two lines carry has two values, and two readers may each take another one. Nothing but HTTP's own
blanks, space and tab, is taken off a value: whatever else Unicode counts as blank is part of it, and is refused
where visible ASCII is asked for.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from litestar.openapi.spec import OpenAPIType, Operation, Parameter, Schema

from cafeteria.chassis.errors import InvalidRequest, ServiceError
from cafeteria.contracts.problems import ProblemCode

RequestHeaders = Iterable[tuple[bytes, bytes]]
"""As ASGI gives them: names in lower case."""

IDEMPOTENCY_KEY = b"idempotency-key"
KEY_LIMIT = 255
"""Characters, without quotes and backslashes."""

_BARE_KEY = re.compile(rb"[!#-+\--~][!-+\--~]*")
_QUOTED_KEY = re.compile(rb'"((?:[!#-\[\]-~]|\\["\\])+)"')
_ESCAPED = re.compile(rb"\\(.)")
_VISIBLE = re.compile(rb"[!-~]+")


class HeaderUnusable(InvalidRequest):
    """One header occurs twice, or its value is not what it has to be."""

    def __init__(self, name: bytes, fault: str) -> None:
        super().__init__(
            "A header of the request cannot be used, and nothing was done. "
            "Correct what `errors` names, then send it again.",
            errors=(f"header.{name.decode('latin-1').title()}: {fault}",),
        )


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
    """None without the header. Raises HeaderUnusable when it occurs more than once."""
    found = [value for each, value in headers if each == name]
    if not found:
        return None
    if len(found) > 1:
        raise HeaderUnusable(name, "it occurs more than once")
    return found[0].strip(b" \t")


def read_visible_header(headers: RequestHeaders, name: bytes) -> str | None:
    """None without the header. Raises HeaderUnusable unless its value is one line of visible ASCII."""
    value = read_header(headers, name)
    if value is None:
        return None
    if not _VISIBLE.fullmatch(value):
        raise HeaderUnusable(name, "it is not visible ASCII characters without a blank")
    return value.decode("ascii")


def read_idempotency_key(headers: RequestHeaders) -> str | None:
    """The key, bare or as a quoted string of RFC 9651: `"k"` and `k` are the same key. None without the header.

    A bare key has no comma, because proxies join two lines of a header with one: nobody could tell the list from
    the key. Raises IdempotencyKeyUnusable; HeaderUnusable for two lines.
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
    """As `read_idempotency_key`, and raises IdempotencyKeyUnusable without the header."""
    key = read_idempotency_key(headers)
    if key is None:
        raise IdempotencyKeyUnusable
    return key


@dataclass
class KeyedOperation(Operation):
    """For a route's `operation_class`: documents the header of a route that cannot do without it."""

    is_required: ClassVar[bool] = True

    def __post_init__(self) -> None:
        header = Parameter(
            name="Idempotency-Key",
            param_in="header",
            required=self.is_required,
            schema=Schema(type=OpenAPIType.STRING),
            description="1 to 255 visible ASCII characters, bare or in quotes, a comma only in quotes;"
            " the same for each repeat of one request.",
        )
        self.parameters = [*(self.parameters or []), header]


@dataclass
class OptionallyKeyedOperation(KeyedOperation):
    """For a route that takes the header and does without."""

    is_required: ClassVar[bool] = False
