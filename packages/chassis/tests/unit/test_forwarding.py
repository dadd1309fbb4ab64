"""Behind trusted proxies a request has the client's own address, in every notation, and no client can forge one."""

from ipaddress import ip_network

import pytest
from structlog.testing import capture_logs

from cafeteria.chassis.http.forwarding import WARNING_EVERY_S, Sender, TrustedProxies

NETWORKS = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
PROXY = "10.0.0.1"
FOR, PROTO, FORWARDED = b"x-forwarded-for", b"x-forwarded-proto", b"forwarded"

Headers = list[tuple[bytes, bytes]]


def sender(peer: str | None, headers: Headers) -> Sender:
    return TrustedProxies(NETWORKS).sender(peer, [(b"host", b"canteen"), *headers])


def x_forwarded(*lines: str) -> Headers:
    return [(FOR, line.encode()) for line in lines]


def forwarded(*lines: str) -> Headers:
    return [(FORWARDED, line.encode()) for line in lines]


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # any client may send the header
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # the client's forged address is leftmost
        ("10.0.0.1", ["nonsense, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1,, ,"], "198.51.100.1"),
        ("10.0.0.1", [" , "], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5:41234"], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5:41234, 10.0.0.2:8080"], "203.0.113.5"),
        ("10.0.0.1", ["[2a00::1]:443"], "2a00::1"),
        ("10.0.0.1", ["[2a00::1]"], "2a00::1"),
        ("10.0.0.1", ['"[2a00::1]"'], "2a00::1"),
        ("10.0.0.1", ['"[2a00::1]:443", "10.0.0.2"'], "2a00::1"),
        ("10.0.0.1", ["2a00:0::1"], "2a00::1"),
        ("10.0.0.1", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["[::ffff:203.0.113.5]:80"], "203.0.113.5"),
        ("10.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        ("10.0.0.1", ["203.0.113.5:http"], "10.0.0.1"),
        ("10.0.0.1", ["[2a00::1"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5 41234"], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.005"], "10.0.0.1"),
        ("2001:db8::1", ["2001:DB8:1::5, 2a00::1"], "2a00::1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("fe80::1%eth0", [], "fe80::1"),
        ("testclient", ["198.51.100.1"], None),
        (None, ["198.51.100.1"], None),
    ],
)
def test_only_a_trusted_proxy_may_name_its_client(
    peer: str | None, lines: list[str], client: str | None
) -> None:
    assert sender(peer, x_forwarded(*lines)).address == client


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        (["for=198.51.100.1"], "198.51.100.1"),
        (["For=198.51.100.1;Proto=https;By=10.0.0.1"], "198.51.100.1"),
        (["by=10.0.0.1; for=198.51.100.1 ;"], "198.51.100.1"),
        (['for="198.51.100.1:4711"'], "198.51.100.1"),
        (["for=198.51.100.1:4711"], "198.51.100.1"),
        (['for="[2a00::1]:4711"'], "2a00::1"),
        (['for="[2a00::1]"'], "2a00::1"),
        (["for=[2a00::1]"], "2a00::1"),
        (['for="198.51.100.1:_hidden"'], "198.51.100.1"),
        ([r'for="198.51.100\.1"'], "198.51.100.1"),
        (["for=6.6.6.6, for=198.51.100.1, for=10.0.0.2"], "198.51.100.1"),
        (["for=6.6.6.6", "for=198.51.100.1"], "198.51.100.1"),
        (['for=6.6.6.6;secret="a,b;c", for=198.51.100.1'], "198.51.100.1"),
        (["for=unknown"], PROXY),
        (["for=_gazonk"], PROXY),
        (["for=198.51.100.1, for=unknown"], PROXY),
        # the nearest proxy names no client: the rest may be forged
        (["for=6.6.6.6, proto=https"], PROXY),
        (["for=198.51.100.1;for=6.6.6.6"], PROXY),
        (["198.51.100.1"], PROXY),
        (["for=2a00::1"], "2a00::1"),  # malformed, and yet unambiguous
        (['for="198.51.100.1'], PROXY),
        (['for=";x=, for=198.51.100.1'], PROXY),  # the client's open quote hides the proxy's address
        (['for=6.6.6.6;by=", for="[2a00::1]:443"'], PROXY),
        ([""], PROXY),
    ],
)
def test_the_standard_header_is_read_like_x_forwarded_for(lines: list[str], client: str) -> None:
    assert sender(PROXY, forwarded(*lines)).address == client
    assert sender("203.0.113.9", forwarded(*lines)).address == "203.0.113.9"


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        (x_forwarded("198.51.100.1:80") + forwarded("for=198.51.100.1"), "198.51.100.1"),
        (x_forwarded("6.6.6.6") + forwarded("for=198.51.100.1"), PROXY),
        (x_forwarded("198.51.100.1") + forwarded("for=6.6.6.6"), PROXY),
        (x_forwarded("198.51.100.1") + forwarded("for=unknown"), PROXY),
        (x_forwarded("198.51.100.1") + forwarded("proto=https"), "198.51.100.1"),
        ([(PROTO, b"https"), *forwarded("for=198.51.100.1")], "198.51.100.1"),
    ],
)
def test_both_headers_must_name_the_same_client(headers: Headers, client: str) -> None:
    assert sender(PROXY, headers).address == client


@pytest.mark.parametrize(
    ("headers", "is_https"),
    [
        ([], False),
        ([(PROTO, b"https")], True),
        ([(PROTO, b"HTTPS")], True),
        ([(PROTO, b'"https"')], True),
        ([(PROTO, b"http")], False),
        ([(PROTO, b"https, http")], False),  # the proxy's own value is rightmost
        ([(PROTO, b"http"), (PROTO, b"https")], True),
        ([(PROTO, b"https, http"), *x_forwarded("198.51.100.1, 10.0.0.2")], True),  # the outer proxy's value
        ([(PROTO, b"https"), *x_forwarded("198.51.100.1, 10.0.0.2")], True),
        (forwarded("for=198.51.100.1;proto=https"), True),
        (forwarded('proto="HTTPS"'), True),
        (forwarded("for=198.51.100.1;proto=https, for=10.0.0.2;proto=http"), True),
        (forwarded("for=6.6.6.6;proto=https, for=198.51.100.1;proto=http"), False),
        (forwarded("for=unknown;proto=https"), True),
        (forwarded("for=198.51.100.1"), False),
    ],
)
def test_a_trusted_proxy_may_tell_whether_the_client_uses_https(headers: Headers, *, is_https: bool) -> None:
    assert sender(PROXY, headers).is_https is is_https
    assert not sender("203.0.113.9", headers).is_https


def test_a_malformed_header_is_logged_once_a_minute_and_truncated() -> None:
    now = 1000.0
    proxies = TrustedProxies(NETWORKS, clock=lambda: now)
    with capture_logs() as lines:
        for _ in range(50):
            proxies.sender(PROXY, x_forwarded("x" * 4000))
        now += WARNING_EVERY_S
        proxies.sender(PROXY, x_forwarded("1.1.1.1") + forwarded("for=2.2.2.2"))
    assert [line["event"] for line in lines] == ["forwarding_not_understood"] * 2
    assert lines[0]["value"] == "x" * 100
    assert lines[0]["counted"] == PROXY


@pytest.mark.parametrize("headers", [x_forwarded("1.1.1.1"), forwarded("proto=https"), x_forwarded(",")])
def test_a_valid_or_untrusted_header_is_not_logged(headers: Headers) -> None:
    with capture_logs() as lines:
        sender(PROXY, headers)
        sender("203.0.113.9", x_forwarded("nonsense"))
    assert lines == []
