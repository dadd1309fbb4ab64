"""Find the client of a request that came through proxies; only what trusted proxies have written counts.

Both spellings are read: `X-Forwarded-For` with `X-Forwarded-Proto`, and `Forwarded` of RFC 7239. A proxy writes one of
them and may pass on the other as the client invented it, and the service cannot tell which. If both name a client, it
must be the same client, or neither counts.
"""

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from time import monotonic

import msgspec

from cafeteria.chassis.http.request_headers import RequestHeaders
from cafeteria.chassis.observability.logs import get_logger
from cafeteria.chassis.runtime.settings import Network as SettingsNetwork

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network | SettingsNetwork

WARNING_EVERY_S = 60.0
"""One line a minute and process: a client that makes a proxy send nonsense must not fill the log."""
SHOWN_CHARACTERS = 100

_NODE = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<v4>[0-9.]+))(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?")
_PAIR = re.compile(
    r"[ \t]*(?:(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)="
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s",;]+)))?[ \t]*(?P<end>[;,]|\Z)'
)
_ESCAPED = re.compile(r"\\(.)")

logger = get_logger()


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """The client's address for limits and audit, or None; and whether it used https, according to the proxies."""

    address: str | None
    is_https: bool


class _Trail(msgspec.Struct, frozen=True, kw_only=True):
    """The proxies' entries in one spelling, the nearest last. An empty node gives no address."""

    nodes: Sequence[str]
    protos: Sequence[str]


class TrustedProxies:
    """Reads the headers of proxies within `networks`, and logs unreadable ones, once in WARNING_EVERY_S at most."""

    def __init__(self, networks: Sequence[Network], *, clock: Callable[[], float] = monotonic) -> None:
        self._networks = tuple(networks)
        self._clock = clock
        self._quiet_until = clock()

    def sender(self, peer: str | None, headers: RequestHeaders) -> Sender:
        """The sender of a request. `peer` is the other end of the connection; only a trusted proxy's headers count."""
        nearest = _address(peer or "")
        if nearest is None:
            return Sender(address=None, is_https=False)
        if not self._is_trusted(nearest):
            return Sender(address=str(nearest), is_https=False)
        clients: set[Address] = set()
        is_https = False
        for trail in _trails(headers):
            client, hops = self._walk(nearest, trail.nodes)
            is_https = is_https or _proto(trail, hops) == "https"
            if any(trail.nodes):
                clients.add(client)
        if len(clients) > 1:
            self._warn("two headers name two clients", ", ".join(map(str, clients)), counted=nearest)
        address = clients.pop() if len(clients) == 1 else nearest
        return Sender(address=str(address), is_https=is_https)

    def _walk(self, nearest: Address, nodes: Sequence[str]) -> tuple[Address, int]:
        """From the right, which the nearest proxy wrote, to the first address that is no trusted proxy: the client.

        Any client may have invented what is left of it. A node without an address ends the walk at the proxy that
        wrote it. Also returns how many nodes were read.
        """
        address, hops = nearest, 0
        for node in reversed(nodes):
            if not self._is_trusted(address):
                break
            hops += 1
            earlier = read_node(node)
            if earlier is None:
                if node:
                    self._warn("no address", node, counted=address)
                break
            address = earlier
        return address, hops

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _warn(self, fault: str, value: str, *, counted: Address) -> None:
        if self._clock() >= self._quiet_until:
            self._quiet_until = self._clock() + WARNING_EVERY_S
            shown = value[:SHOWN_CHARACTERS]
            logger.warning("forwarding_not_understood", fault=fault, value=shown, counted=str(counted))


def read_node(text: str) -> Address | None:
    """An address without its port and brackets; None for anything else, RFC 7239's `unknown` and `_hidden` too."""
    node = _NODE.fullmatch(text)
    return _address((node["v6"] or node["v4"]) if node else text)


def _address(text: str) -> Address | None:
    """Parse to one spelling per address: IPv4 over an IPv6 socket is IPv4, and an interface's name is dropped."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _trails(headers: RequestHeaders) -> tuple[_Trail, _Trail]:
    found: dict[bytes, list[str]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value.decode("latin-1"))
    elements = [element for line in found.get(b"forwarded", ()) for element in _elements(line)]
    return (
        _Trail(
            nodes=_listed(found.get(b"x-forwarded-for", ())),
            protos=_listed(found.get(b"x-forwarded-proto", ())),
        ),
        _Trail(
            nodes=[element.get("for", "") for element in elements],
            protos=[element.get("proto", "") for element in elements],
        ),
    )


def _listed(lines: Sequence[str]) -> list[str]:
    """Split the lists, without quotes: some proxies quote an IPv6 address here as in `Forwarded`."""
    parts = (part.strip(' \t"') for line in lines for part in line.split(","))
    return [part for part in parts if part]


def _elements(line: str) -> list[dict[str, str]]:
    """The entries of the proxies in one line. A malformed line is one node that names no address."""
    elements: list[dict[str, str]] = [{}]
    at, end = 0, ","
    while end:
        pair = _PAIR.match(line, at)
        if pair is None or (pair["name"] or "").lower() in elements[-1]:
            return [{"for": f"not well formed: {line}"}]
        if pair["name"]:
            quoted = pair["quoted"]
            elements[-1][pair["name"].lower()] = pair["bare"] or _ESCAPED.sub(r"\1", quoted or "")
        at, end = pair.end(), pair["end"]
        if end == ",":
            elements.append({})
    return [element for element in elements if element]


def _proto(trail: _Trail, hops: int) -> str:
    """The protocol at the hop that was read last; with fewer entries than hops, at the earliest hop."""
    protos = trail.protos
    return protos[-min(max(hops, 1), len(protos))].lower() if protos else ""
