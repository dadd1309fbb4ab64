"""Which heads of a request are refused, and how its target is split."""

import pytest

from cafeteria.chassis.http.request_heads import check_head, parse_target, without_upgrade
from cafeteria.chassis.runtime.errors import InvalidRequest


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        (b"/v1/orders?a=%20b", ("/v1/orders", b"/v1/orders", b"a=%20b")),
        (b"/caf%C3%A9", ("/café", b"/caf%C3%A9", b"")),
        (b"/%ff", ("/\ufffd", b"/%ff", b"")),
        (b"http://canteen.example/menu?x", ("/menu", b"/menu", b"x")),
        (b"*", ("*", b"*", b"")),
        (b"//a", ("//a", b"//a", b"")),
    ],
)
def test_a_target_is_split_into_path_raw_path_and_query(url: bytes, parts: tuple[str, bytes, bytes]) -> None:
    assert parse_target(url) == parts


@pytest.mark.parametrize("url", [b"", b"?x", b"a:80", b"http://", b"/\xc3\xa9"])
def test_an_invalid_target_is_refused(url: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_target(url)


def test_a_head_loses_only_its_upgrade_offer() -> None:
    headers = [(b"host", b"x"), (b"upgrade", b"h2c"), (b"connection", b"Upgrade"), (b"a", b"\xff; b")]
    head = without_upgrade(b"POST", b"/a?b", "1.1", headers)
    assert head == b"POST /a?b HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\na: \xff; b\r\n\r\n"


@pytest.mark.parametrize(("version", "hosts"), [("1.1", 1), ("1.0", 1), ("1.0", 0)])
def test_a_valid_head_is_accepted(version: str, hosts: int) -> None:
    check_head(b"GET", version, [(b"host", b"canteen.example:80")] * hosts)


@pytest.mark.parametrize(
    ("method", "version", "headers"),
    [
        (b"CONNECT", "1.1", [(b"host", b"x")]),
        (b"GET", "1.1", []),
        (b"GET", "1.1", [(b"host", b"x"), (b"host", b"x")]),
        (b"GET", "1.0", [(b"host", b"x"), (b"host", b"y")]),
        (b"GET", "1.1", [(b"host", b"x\x80")]),
        (b"GET", "2.0", [(b"host", b"x")]),
        (b"POST", "1.0", [(b"transfer-encoding", b"chunked")]),
    ],
)
def test_an_invalid_head_is_refused(method: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(InvalidRequest):
        check_head(method, version, headers)
