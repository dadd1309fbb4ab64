"""A header has at most one value, of its allowed characters; an idempotency key is bare or quoted."""

from typing import Any

import pytest
from litestar import Litestar, post

from cafeteria.chassis.http.request_headers import (
    HeaderUnusable,
    IdempotencyKeyUnusable,
    KeyedOperation,
    OptionallyKeyedOperation,
    read_header,
    read_idempotency_key,
    require_idempotency_key,
)


def keyed(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"canteen.example"), *((b"idempotency-key", value) for value in values)]


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (b"k", "k"),
        (b'"k"', "k"),
        (b"8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (b'"8e03978e"', "8e03978e"),
        (b"  k\t", "k"),
        (b"!~", "!~"),
        (b'in"side', 'in"side'),
        (rb'"with_\"quotes\"_and_\\"', 'with_"quotes"_and_\\'),
        (b'"a,b"', "a,b"),
        (b"x" * 255, "x" * 255),
        (b'"' + b"x" * 255 + b'"', "x" * 255),
        (rb'"' + rb"\\" * 255 + rb'"', "\\" * 255),
    ],
)
def test_a_key_is_taken_bare_or_quoted(header: bytes, key: str) -> None:
    assert read_idempotency_key(keyed(header)) == require_idempotency_key(keyed(header)) == key


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"   ",
        b'""',
        b'"',
        b'"k',
        b'"k"x',
        b'"k";a=1',
        b"two words",
        b'"two words"',
        b"a,b",
        b"a, b",
        b",",
        b'"a","b"',
        b'"a", "b"',
        b'a,"b"',
        b"x" * 256,
        b'"' + b"x" * 256 + b'"',
        "clé".encode(),
        "clé".encode("latin-1"),
        b"tab\tbed",
        b"line\nfeed",
        b"k\n",
        b"nul\0",
        b"del\x7f",
        b'"back\\slash"',
        *(blank + b"k" for blank in (b"\xa0", b"\x85", b"\x1c", b"\x0b", b"\x0c", b"\r", "\u2003".encode())),
        *(b"k" + blank for blank in (b"\xa0", b"\x85", b"\x1c", b"\x0b", b"\x0c", b"\r", "\ufeff".encode())),
    ],
)
def test_a_key_that_is_not_1_to_255_visible_ascii_characters_is_refused(header: bytes) -> None:
    with pytest.raises(IdempotencyKeyUnusable) as refused:
        read_idempotency_key(keyed(header))
    assert refused.value.status == 400


@pytest.mark.parametrize("values", [(b"one", b"two"), (b"one", b"one"), (b"one", b""), (b"1", b"2", b"3")])
def test_two_lines_of_one_header_are_refused_even_with_the_same_value(values: tuple[bytes, ...]) -> None:
    with pytest.raises(HeaderUnusable) as refused:
        read_idempotency_key(keyed(*values))
    assert refused.value.errors == ("header.Idempotency-Key: it occurs more than once",)


def test_a_key_that_is_absent_is_none_or_refused_as_the_route_needs() -> None:
    assert read_idempotency_key(keyed()) is None
    with pytest.raises(IdempotencyKeyUnusable):
        require_idempotency_key(keyed())


def test_a_header_loses_the_blanks_around_it_and_no_others() -> None:
    headers = [(b"x-request-id", b" \ta b\xa0\t ")]
    assert read_header(headers, b"x-request-id") == b"a b\xa0"
    assert read_header(headers, b"origin") is None


@pytest.mark.parametrize(
    ("operation", "required"), [(KeyedOperation, True), (OptionallyKeyedOperation, False)]
)
def test_a_keyed_route_documents_the_header(operation: Any, required: Any) -> None:
    @post("/meals", operation_class=operation, sync_to_thread=False)
    def cook() -> None: ...

    (header,) = Litestar([cook]).openapi_schema.to_schema()["paths"]["/meals"]["post"]["parameters"]
    assert (header["name"], header["in"], header["required"]) == ("Idempotency-Key", "header", required)
