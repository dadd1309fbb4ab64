"""Parse the addresses in settings, one host and at most one port, and group the addresses of clients.

A wrong setting fails at the start, not later. IPv6 is in brackets in a URL, and without them if there is no port.
"""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network
from typing import NamedTuple

_URL = re.compile(
    r"(?P<scheme>[a-z]+)://"
    r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<name>[^:/?#\[\]]*))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?#].*)?"
)
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(
    rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?"
)  # RFC 1035, with underscores, which container engines use
_VISIBLE = re.compile(r"[!-~]+")
_DATABASE = re.compile(r"/[^\s/?#@%]+")
_HIGHEST_PORT = 65535
_WEB_PORTS = {"http": 80, "https": 443}
_CLIENT_BITS = 64


class Address(NamedTuple):
    """The parts of a URL. `host` has no brackets; `rest` is the URL from the path on."""

    host: str
    port: int | None
    rest: str


def parse_url(text: str, *, scheme: str) -> Address | None:
    """The parts of the URL of one server, without a user or a password; None for any other text."""
    match = _URL.fullmatch(text)
    if match is None or match["scheme"] != scheme:
        return None
    port = int(match["port"]) if match["port"] else None
    is_host = _is_ipv6(match["ipv6"]) if match["ipv6"] is not None else _is_name_or_ipv4(match["name"])
    if not is_host or (port is not None and not 0 < port <= _HIGHEST_PORT):
        return None
    return Address(match["ipv6"] or match["name"], port, match["rest"] or "")


def is_postgres_url(text: str) -> bool:
    """Whether the URL ends with the name of a database."""
    address = parse_url(text, scheme="postgresql")
    return address is not None and _DATABASE.fullmatch(address.rest) is not None


def is_nats_url(text: str) -> bool:
    address = parse_url(text, scheme="nats")
    return address is not None and address.rest in {"", "/"}


def is_host(text: str) -> bool:
    """Whether the text has the form of a name, an IPv4 or an IPv6 address. It may not exist."""
    return _is_ipv6(text) if ":" in text else _is_name_or_ipv4(text)


def read_origin(text: str) -> str | None:
    """The origin of a web page in the spelling of browsers: lower case, no default port. None for any other text.

    The dot at the end of a name stays: to browsers, and for their cookies, it is another host.
    """
    if not text.isascii():
        return None
    lowered = text.lower()
    scheme = lowered.partition(":")[0]
    address = parse_url(lowered, scheme=scheme) if scheme in _WEB_PORTS else None
    if address is None or address.rest:
        return None
    host = str(IPv6Address(address.host)) if ":" in address.host else address.host
    port = "" if address.port in (None, _WEB_PORTS[scheme]) else f":{address.port}"
    return f"{scheme}://{bracketed(host)}{port}"


def is_web_url(text: str) -> bool:
    """Whether the text is the URL of a page, over http or https, as it can stand in a header."""
    scheme = text.partition(":")[0]
    is_visible = _VISIBLE.fullmatch(text) is not None
    return is_visible and scheme in _WEB_PORTS and parse_url(text, scheme=scheme) is not None


def are_origins(texts: Iterable[str]) -> bool:
    return all(read_origin(text) is not None for text in texts)


def bracketed(host: str) -> str:
    """The host as a URL has it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def client_network(host: str) -> str:
    """The network that every limit counts as one client: an IPv4 address itself, the /64 of an IPv6 address.

    One client usually has a whole /64. IPv4 over an IPv6 socket is IPv4; a path of a Unix socket is returned as it is.
    """
    if ":" not in host:
        return host
    address = IPv6Address(host.partition("%")[0])
    return str(address.ipv4_mapped or IPv6Network((int(address), _CLIENT_BITS), strict=False))


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def _is_name_or_ipv4(text: str) -> bool:
    """Treat digits and dots as an address, never as a name, which would be looked up for ever."""
    if not text.replace(".", "").isdecimal():
        return _NAME.fullmatch(text) is not None
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True
