"""Checks the server addresses in the settings once at the start and names the variable of an invalid one.

No error text repeats an address, because it may contain a password.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlsplit

from cafeteria.chassis.runtime.addresses import bracketed
from cafeteria.provisioning.errors import SettingError

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_DATABASE = re.compile(r"(/[^/]*)?")
_LISTEN_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only replaced


@dataclass(frozen=True, kw_only=True)
class AddressKind:
    """The form of one kind of address: its schemes, its path and whether it may name a user."""

    example: str
    schemes: tuple[str, ...]
    path: re.Pattern[str]
    has_user: bool = True


POSTGRES = AddressKind(
    example="postgresql://user:password@127.0.0.1:5432/cafeteria",
    schemes=("postgresql", "postgres"),
    path=_DATABASE,
)
NATS = AddressKind(example="nats://user:password@127.0.0.1:4222", schemes=("nats",), path=re.compile("/?"))
MONITOR = AddressKind(
    example="http://127.0.0.1:8222", schemes=("http", "https"), path=re.compile("/?"), has_user=False
)


def checked(variable: str, url: str | None, kind: AddressKind) -> str | None:
    """Return `url` unchanged. Raises `SettingError` unless it is exactly one address of this kind."""
    if url is None:
        return None
    try:
        fault = _fault_of(urlsplit(url), kind)
    except ValueError:  # unmatched brackets or a port that is not a number
        fault = "its host or port cannot be read"
    if fault or not url.isprintable() or " " in url:
        fault = fault or "it contains blanks or control characters"
        raise SettingError(f"{variable} must be one address like {kind.example}: {fault}.")
    return url


def host_and_port(parts: SplitResult, *, default_port: int) -> str:
    """Return `host:port` as a URL writes it: with brackets around an IPv6 address."""
    return f"{bracketed(parts.hostname or '')}:{parts.port or default_port}"


def listening_host(text: str | None) -> str:
    """Return the IP address of this machine on which services listen.

    Raises `SettingError` for any other text.
    """
    host = "127.0.0.1" if text in (None, "localhost") else str(text)
    try:
        is_six = ipaddress.ip_address(host).version == 6  # noqa: PLR2004 - IPv6
        with socket.socket(socket.AF_INET6 if is_six else socket.AF_INET) as probe:
            probe.bind((host, 0))
    except (ValueError, OSError):
        raise SettingError(
            f"CAFETERIA_HOST must be an IP address of this machine, such as 127.0.0.1 or ::1, not {text!r}."
        ) from None
    return host


def reaching_host(host: str) -> str:
    """Return the address at which a client on this machine reaches a server that listens on `host`."""
    return _LISTEN_EVERYWHERE.get(host, host)


def _fault_of(parts: SplitResult, kind: AddressKind) -> str | None:
    if parts.scheme not in kind.schemes:
        offered = " or ".join(f"{scheme}://" for scheme in kind.schemes)
        return f"it must begin with {offered}"
    if "," in parts.netloc.rpartition("@")[2]:
        return "it contains several addresses"
    if parts.query or parts.fragment:
        names = ", ".join(name for name, _ in parse_qsl(parts.query, keep_blank_values=True))
        return f"parameters such as `{names or '#'}` are not supported, so leave them out"
    if not _is_host(parts.hostname or "") or parts.port == 0:
        return "its host or port cannot be read (in a password, write / ? # @ : as %2F %3F %23 %40 %3A)"
    if not kind.path.fullmatch(parts.path):
        return "the part after host and port is not supported"
    return None if kind.has_user or not parts.username else "it must not name a user"


def _is_host(name: str) -> bool:
    if ":" not in name:
        return _NAME.fullmatch(name) is not None
    return "%" not in name and ipaddress.ip_address(name) is not None
