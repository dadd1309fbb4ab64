"""Check a request's head for faults that the parser accepts and a server must refuse, and split its address."""

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import unquote

import httptools

from cafeteria.chassis.runtime.errors import InvalidRequest

HTTP_1_0, HTTP_1_1 = "1.0", "1.1"

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
"""RFC 3986's `host [":" port]`; it may be empty."""

Headers = Sequence[tuple[bytes, bytes]]


def parse_target(url: bytes) -> tuple[str, bytes, bytes]:
    """The path, decoded and as it was sent, and the query. Raises InvalidRequest for a malformed address."""
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        raise InvalidRequest("The address of this request cannot be understood.") from None
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""


def check_head(method: bytes, version: str, headers: Headers) -> None:
    """Raise InvalidRequest unless there is one valid Host (RFC 9112, 3.2), which only HTTP/1.0 may leave out."""
    if method == b"CONNECT":
        raise InvalidRequest("This service is no proxy: it does not accept CONNECT.")
    if version not in (HTTP_1_1, HTTP_1_0):
        raise InvalidRequest("This service accepts HTTP/1.1 and HTTP/1.0.")
    if version == HTTP_1_0 and any(name == b"transfer-encoding" for name, _ in headers):
        raise InvalidRequest("HTTP/1.0 has no Transfer-Encoding: send the body with its Content-Length.")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 and (hosts or version == HTTP_1_1):
        raise InvalidRequest(f"A request has one Host header; this one has {len(hosts) or 'none'}.")
    if hosts and not _is_host(hosts[0]):
        raise InvalidRequest(
            "The Host header names no host. Nothing was done.", errors=("header.Host: no host",)
        )


@lru_cache(maxsize=64)  # nearly all requests name the same one
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def without_upgrade(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """The head without its offer to change the protocol."""
    lines = [b"%b %b HTTP/%b" % (method, url, version.encode())]
    lines += [b"%b: %b" % header for header in headers if header[0] != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])
