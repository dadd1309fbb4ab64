"""The addresses that a person gives, checked once at the start: what is not understood is refused by its variable's name.

No sentence here repeats an address, for it may hold a password.
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
_LISTEN_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, and where it is reached


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What an address of one kind looks like."""

    example: str
    schemes: tuple[str, ...]
    path: re.Pattern[str]
    has_user: bool = True


POSTGRES = Kind(
    example="postgresql://user:password@127.0.0.1:5432/cafeteria",
    schemes=("postgresql", "postgres"),
    path=_DATABASE,
)
NATS = Kind(example="nats://user:password@127.0.0.1:4222", schemes=("nats",), path=re.compile("/?"))
MONITOR = Kind(
    example="http://127.0.0.1:8222", schemes=("http", "https"), path=re.compile("/?"), has_user=False
)


def checked(variable: str, url: str | None, kind: Kind) -> str | None:
    """`url` as it is. Raises `SettingError` unless it is one address of this kind and nothing more."""
    if url is None:
        return None
    try:
        wrong = _what_is_wrong(urlsplit(url), kind)
    except ValueError:  # brackets that do not match, a port that is no number
        wrong = "its host or port cannot be read"
    if wrong or not url.isprintable() or " " in url:
        wrong = wrong or "it holds blanks or control characters"
        raise SettingError(f"{variable} must be one address like {kind.example}: {wrong}.")
    return url


def host_and_port(parts: SplitResult, *, default_port: int) -> str:
    """As it stands in a URL; an IPv6 address has brackets there."""
    return f"{bracketed(parts.hostname or '')}:{parts.port or default_port}"


def listening_host(text: str | None) -> str:
    """Where services listen: an IP address of this machine. Raises `SettingError`."""
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
    """Where something that listens on `host` is reached from this machine."""
    return _LISTEN_EVERYWHERE.get(host, host)


def _what_is_wrong(parts: SplitResult, kind: Kind) -> str | None:
    if parts.scheme not in kind.schemes:
        offered = " or ".join(f"{scheme}://" for scheme in kind.schemes)
        return f"it must begin with {offered}"
    if "," in parts.netloc.rpartition("@")[2]:
        return "it holds several"
    if parts.query or parts.fragment:
        named = ", ".join(name for name, _ in parse_qsl(parts.query, keep_blank_values=True))
        return f"`{named or '#'}` behind it is not understood here, so leave it out"
    if not _is_host(parts.hostname or "") or parts.port == 0:
        return "its host or port cannot be read (in a password, write / ? # @ : as %2F %3F %23 %40 %3A)"
    if not kind.path.fullmatch(parts.path):
        return "what follows host and port cannot be used"
    return None if kind.has_user or not parts.username else "it takes no user"


def _is_host(name: str) -> bool:
    if ":" not in name:
        return _NAME.fullmatch(name) is not None
    return "%" not in name and ipaddress.ip_address(name) is not None
