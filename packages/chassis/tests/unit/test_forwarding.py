"""Behind trusted proxies the client's own address counts, however they write it, and nobody invents one."""

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
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # anybody may send the header
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # what the client invented stands left
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
def test_only_a_trusted_proxy_is_believed_about_its_client(
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
        (
            ["for=6.6.6.6, proto=https"],
            PROXY,
        ),  # the nearest proxy names nobody: what is left of it is invented
        (["for=198.51.100.1;for=6.6.6.6"], PROXY),
        (["198.51.100.1"], PROXY),
        (["for=2a00::1"], "2a00::1"),  # not well formed, and yet clear
        (['for="198.51.100.1'], PROXY),
        (['for=";x=, for=198.51.100.1'], PROXY),  # an open quote of the client's swallows the proxy's word
        (['for=6.6.6.6;by=", for="[2a00::1]:443"'], PROXY),
        ([""], PROXY),
    ],
)
def test_the_standard_header_says_the_same(lines: list[str], client: str) -> None:
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
def test_where_both_headers_name_a_client_it_has_to_be_the_same(headers: Headers, client: str) -> None:
    assert sender(PROXY, headers).address == client


@pytest.mark.parametrize(
    ("headers", "is_https"),
    [
        ([], False),
        ([(PROTO, b"https")], True),
        ([(PROTO, b"HTTPS")], True),
        ([(PROTO, b'"https"')], True),
        ([(PROTO, b"http")], False),
        ([(PROTO, b"https, http")], False),  # the proxy's own word stands right
        ([(PROTO, b"http"), (PROTO, b"https")], True),
        ([(PROTO, b"https, http"), *x_forwarded("198.51.100.1, 10.0.0.2")], True),  # the outer proxy's
        ([(PROTO, b"https"), *x_forwarded("198.51.100.1, 10.0.0.2")], True),
        (forwarded("for=198.51.100.1;proto=https"), True),
        (forwarded('proto="HTTPS"'), True),
        (forwarded("for=198.51.100.1;proto=https, for=10.0.0.2;proto=http"), True),
        (forwarded("for=6.6.6.6;proto=https, for=198.51.100.1;proto=http"), False),
        (forwarded("for=unknown;proto=https"), True),
        (forwarded("for=198.51.100.1"), False),
    ],
)
def test_a_proxy_says_whether_the_client_came_by_https(headers: Headers, *, is_https: bool) -> None:
    assert sender(PROXY, headers).is_https is is_https
    assert not sender("203.0.113.9", headers).is_https


def test_what_is_not_understood_is_logged_once_a_minute_and_cut() -> None:
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
def test_what_is_understood_is_not_logged(headers: Headers) -> None:
    with capture_logs() as lines:
        sender(PROXY, headers)
        sender("203.0.113.9", x_forwarded("nonsense"))
    assert lines == []
