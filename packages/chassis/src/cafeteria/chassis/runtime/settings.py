"""Settings are read from the environment once, at the start; one error lists all faults.

A field names its variable by `msgspec.field(name=…)`. A variable `X` is also read from the file that `X_FILE`
names; an empty one counts as absent. A secret is a `Secret` without a default, and no repr, log or error shows it.
"""

import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from socket import gethostname
from types import UnionType
from typing import Annotated, Any, Self, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, UnsetType, field
from msgspec.inspect import FrozenSetType, ListType, Metadata, SetType, VarTupleType, type_info
from msgspec.structs import FieldInfo, fields

from cafeteria.chassis.runtime.addresses import (
    are_origins,
    is_host,
    is_nats_url,
    is_postgres_url,
    is_web_url,
    read_origin,
)
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.subjects import PORT_OFFSETS

S = TypeVar("S", bound="DatabaseSettings")

_SECRET_MASK = "***"  # noqa: S105 - shown in place of a secret

_ACCEPTS = "accepts"
"""A key of a type's `Meta.extra`: a function that validates what no pattern can."""

ListenHost = Annotated[
    str,
    Meta(
        description="one address or name of this machine without a port, like 127.0.0.1, ::1 or 0.0.0.0",
        extra={_ACCEPTS: is_host},
    ),
]
PostgresUrl = Annotated[
    str,
    Meta(
        description=(
            "a URL like postgresql://127.0.0.1:5432/cafeteria of one server, without a user or password, "
            "and without parameters such as sslmode: connections to Postgres are not encrypted yet"
        ),
        extra={_ACCEPTS: is_postgres_url},
    ),
]
NatsUrl = Annotated[
    str,
    Meta(  # not tls://: nats-py uses TLS if the server demands it, and only then
        description="a URL like nats://127.0.0.1:4222 of one server, without a user or password",
        extra={_ACCEPTS: is_nats_url},
    ),
]
WebOrigins = Annotated[
    tuple[str, ...],
    Meta(
        description="origins like https://canteen.example, in ASCII, with commas between",
        extra={_ACCEPTS: are_origins},
    ),
]
WebUrl = Annotated[
    str,
    Meta(
        description="a URL like https://canteen.example/, in ASCII, without a user or password",
        extra={_ACCEPTS: is_web_url},
    ),
]
Port = Annotated[int, Meta(ge=0, le=65535, description="a port number from 0 to 65535")]
Limit = Annotated[int, Meta(ge=0, description="a whole number, 0 for no limit")]
LEAST_KEPT_DAYS = 8
"""A stream keeps a message for seven days: what it may bring once more must still meet the row that it made."""

KeptDays = Annotated[
    int,
    Meta(
        ge=0,
        description=f"0 to keep everything, or a whole number of days from {LEAST_KEPT_DAYS} on",
        extra={_ACCEPTS: lambda days: days == 0 or days >= LEAST_KEPT_DAYS},
    ),
]
PortBase = Annotated[int, Meta(ge=1, le=65500, description="a port number from 1 to 65500")]


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls.__members__.get(value.upper()) if isinstance(value, str) else None


class LogFormat(StrEnum):
    JSON = "json"
    CONSOLE = "console"


class Secret:
    """A value that repr and str do not show."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({_SECRET_MASK})"

    def __str__(self) -> str:
        return _SECRET_MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


class Network:
    """An address, or a network of them like 10.0.0.0/8. Raises ValueError for anything else."""

    __slots__ = ("_network",)

    def __init__(self, text: str) -> None:
        self._network = ip_network(text)

    def __contains__(self, address: IPv4Address | IPv6Address) -> bool:
        return address in self._network


ProxyNetwork = Annotated[
    Network, Meta(description="addresses or networks like 10.0.0.0/8, with commas between")
]


class SettingsError(Exception):
    """Settings that cannot be used; `sentences` has one sentence for each wrong variable."""

    def __init__(self, sentences: tuple[str, ...]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a command that uses only the database of a service, with the service's own role."""

    postgres_url: PostgresUrl = field(name="CAFETERIA_POSTGRES_URL")
    postgres_password: Secret = field(name="CAFETERIA_POSTGRES_PASSWORD")


class ServiceSettings(DatabaseSettings, frozen=True, kw_only=True):
    """The settings that every service has. A subclass repeats `frozen=True, kw_only=True`: msgspec inherits neither."""

    host: ListenHost = field(name="CAFETERIA_HOST", default="127.0.0.1")
    port_base: PortBase = field(name="CAFETERIA_PORT_BASE", default=8000)
    port: Port | None = field(name="CAFETERIA_PORT", default=None)
    internal_host: ListenHost = field(name="CAFETERIA_INTERNAL_HOST", default="127.0.0.1")
    internal_port_base: PortBase | None = field(name="CAFETERIA_INTERNAL_PORT_BASE", default=None)
    internal_port: Port | None = field(name="CAFETERIA_INTERNAL_PORT", default=None)
    nats_url: NatsUrl = field(name="CAFETERIA_NATS_URL")
    nats_password: Secret = field(name="CAFETERIA_NATS_PASSWORD")
    allowed_origins: WebOrigins = field(name="CAFETERIA_ALLOWED_ORIGINS", default=())
    public_origins: WebOrigins = field(name="CAFETERIA_PUBLIC_ORIGINS", default=())
    pages_url: WebUrl | None = field(name="CAFETERIA_PAGES_URL", default=None)
    connections_per_address: Limit = field(name="CAFETERIA_MAX_CONNECTIONS_PER_ADDRESS", default=1000)
    connection_proxies: tuple[ProxyNetwork, ...] = field(name="CAFETERIA_TRUSTED_PROXIES", default=())
    keep_days: KeptDays = field(name="CAFETERIA_KEEP_DAYS", default=0)
    log_level: LogLevel = field(name="CAFETERIA_LOG_LEVEL", default=LogLevel.INFO)
    log_format: LogFormat = field(name="CAFETERIA_LOG_FORMAT", default=LogFormat.JSON)

    def listen_port(self, service: str) -> int:
        """The port to listen on; 0 means any free port."""
        return self.port_base + PORT_OFFSETS[service] if self.port is None else self.port

    def instance(self, service: str) -> str:
        """Name this process by machine and port, as its successor after a crash is named too.

        A process on any free port has a name of its own.
        """
        return f"{gethostname()}:{self.listen_port(service) or new_id()}"

    def internal_listen_port(self, service: str) -> int | None:
        """The port of the internal listener, 0 being any free one; None: there is none. Raises SettingsError."""
        base, port = self.internal_port_base, self.internal_port
        if port is None and base is not None:
            port = base + PORT_OFFSETS[service]
        if port and port == self.listen_port(service):
            raise SettingsError(
                (
                    f"CAFETERIA_INTERNAL_PORT_BASE or CAFETERIA_INTERNAL_PORT: {port} is the public port already.",
                )
            )
        return port

    def is_https_alone(self) -> bool:
        """Whether browsers are known to reach the services over https and in no other way."""
        origins = [read_origin(each) or "" for each in self.public_origins]
        return bool(origins) and all(origin.startswith("https:") for origin in origins)

    def scheme_proxies(self) -> tuple[Network, ...]:
        """The proxies that are believed when they say that a request came over https."""
        return self.connection_proxies


def load_settings(settings_type: type[S], environ: Mapping[str, str] = os.environ) -> S:
    """Read the settings. Raises SettingsError with a sentence for each variable that is missing or not accepted."""
    values: dict[str, Any] = {}
    faults: list[str] = []
    for each in fields(settings_type):
        try:
            value = _read_field(each, environ)
        except ValueError as error:
            faults.append(str(error))
        else:
            if value is not UNSET:
                values[each.name] = value
    if faults:
        raise SettingsError(tuple(faults))
    try:
        return settings_type(**values)
    except ValueError as error:  # a rule over several variables, from the settings' own __post_init__
        raise SettingsError((str(error),)) from None


def _read_field(each: FieldInfo, environ: Mapping[str, str]) -> Any | UnsetType:
    variable = each.encode_name
    raw = _read_variable(variable, environ)
    if raw is not None:
        return _converted(variable, raw, each.type)
    if each.default is NODEFAULT and each.default_factory is NODEFAULT:
        way = "" if variable.endswith("_FILE") else f", or {variable}_FILE to a file that holds it"
        raise ValueError(f"{variable} is not set: set it{way}.")
    return UNSET


def _read_variable(variable: str, environ: Mapping[str, str]) -> str | None:
    value, path = environ.get(variable), environ.get(f"{variable}_FILE")
    if value and path:
        raise ValueError(f"{variable} and {variable}_FILE are both set: keep one of them.")
    if not path:
        return value or None
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n") or None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"{variable}_FILE names {path}, which cannot be read: {reason}.") from None


def _converted(variable: str, raw: str, field_type: Any) -> Any:
    parts = [part.strip() for part in raw.split(",") if part.strip()] if _is_many(field_type) else raw
    try:
        value = msgspec.convert(parts, field_type, strict=False, dec_hook=_decode_own)
    except msgspec.ValidationError as error:
        raise ValueError(f"{variable} must be {_accepted(field_type) or f'different: {error}'}.") from None
    if not all(accepts(value) for accepts in _validators(field_type)):
        raise ValueError(f"{variable} must be {_accepted(field_type)}.")
    return value


def _validators(field_type: Any) -> list[Callable[[Any], bool]]:
    """The functions of the type, or of the types in a union: a value may be optional."""
    if get_origin(field_type) in (Union, UnionType):
        return [accepts for kind in get_args(field_type) for accepts in _validators(kind)]
    metadata = getattr(field_type, "__metadata__", ())
    return [meta.extra[_ACCEPTS] for meta in metadata if meta.extra and _ACCEPTS in meta.extra]


def _decode_own(wanted: type, raw: Any) -> Any:
    if wanted in (Secret, Network):
        return wanted(raw)
    raise NotImplementedError(f"No setting is made of {wanted}.")


def _is_many(field_type: Any) -> bool:
    info = type_info(field_type)
    if isinstance(info, Metadata):
        info = info.type
    return isinstance(info, VarTupleType | ListType | SetType | FrozenSetType)


def _accepted(field_type: Any) -> str | None:
    """The values that a type accepts, in words, without the given value: it may be a secret in the wrong variable."""
    if get_origin(field_type) is Annotated:
        described = [meta.description for meta in field_type.__metadata__ if isinstance(meta, Meta)]
        return next((text for text in described if text), None)
    if isinstance(field_type, type) and issubclass(field_type, StrEnum):
        return "one of " + ", ".join(field_type)
    if isinstance(field_type, type):
        return {int: "a whole number", float: "a number", bool: "true or false"}.get(field_type)
    return next((text for text in map(_accepted, get_args(field_type)) if text), None)
