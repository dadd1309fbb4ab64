"""The configuration of a stack before its start: ports, replicas, servers, environments."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from cafeteria.chassis.runtime.addresses import bracketed
from cafeteria.contracts.subjects import PORT_OFFSETS, SERVICES
from cafeteria.local_stack import ports
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.provisioning.addresses import listening_host
from cafeteria.provisioning.errors import SettingError
from cafeteria.provisioning.targets import (
    DEFAULT_STREAM_MAX_BYTES,
    read_flag,
    read_monitor_url,
    read_nats_url,
    read_postgres_url,
    read_variable,
    stream_max_bytes,
    with_demo_data,
)

DEFAULT_PORT_BASE = 8000
EDGE_OFFSETS = range(80, 100)
"""From the first service's port to those of the edge, the first free one of which it takes: 8080 to 8099."""

_PORTS = ("CAFETERIA_PORT_BASE", "CAFETERIA_POSTGRES_PORT", "CAFETERIA_NATS_PORT", "CAFETERIA_EDGE_PORT")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The ports, servers and environments of a stack.

    Services listen on the IP address `host`. A port of None is any free one. With a `postgres_url` or `nats_url` (the
    administrator's, with credentials) the stack uses that server and starts none. `idle` services wait for
    `Stack.start`. Services inherit `environment`; `service_environments` adds variables by service. With a
    `fork_server` the services are its forks instead of new interpreters. `with_edge` serves the pages and all services
    at one port. `with_demo_controls` counts on a loopback address alone.
    """

    host: str = ports.HOST
    port_base: int | None = None
    postgres_port: int | None = None
    nats_port: int | None = None
    postgres_url: str | None = field(default=None, repr=False)
    nats_url: str | None = field(default=None, repr=False)
    nats_monitor_url: str | None = None
    replicas: Mapping[str, int] = field(default_factory=dict)
    idle: frozenset[str] = frozenset()
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    service_environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    stream_max_bytes: int = DEFAULT_STREAM_MAX_BYTES
    with_demo_data: bool = True
    with_demo_controls: bool = False
    fork_server: ForkServer | None = None
    with_edge: bool = False
    edge_port: int | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Plan":
        """Read the plan of `up`. Raises `SettingError` that names an invalid variable."""
        numbers = {name: _port(environ, name) for name in _PORTS}
        _refuse_one_port_for_two(numbers)
        return cls(
            host=listening_host(read_variable(environ, "CAFETERIA_HOST")),
            port_base=numbers["CAFETERIA_PORT_BASE"] or DEFAULT_PORT_BASE,
            postgres_port=numbers["CAFETERIA_POSTGRES_PORT"],
            nats_port=numbers["CAFETERIA_NATS_PORT"],
            postgres_url=read_postgres_url(environ),
            nats_url=read_nats_url(environ),
            nats_monitor_url=read_monitor_url(environ),
            environment=dict(environ),
            stream_max_bytes=stream_max_bytes(environ),
            with_demo_data=with_demo_data(environ, default=True),
            with_edge=read_flag(environ, "CAFETERIA_EDGE", default=True),
            edge_port=numbers["CAFETERIA_EDGE_PORT"],
            with_demo_controls=read_flag(environ, "CAFETERIA_DEMO_CONTROLS", default=True),
        )

    @property
    def has_demo_controls(self) -> bool:
        """Whether members may be switched off by HTTP: never where another machine can reach the stack."""
        return self.with_demo_controls and ip_address(self.host).is_loopback

    def service_ports(self) -> dict[str, int]:
        """Return a port for each service process: fixed for the first replica, any free one for the others."""
        base = self.port_base or ports.free_ports(len(SERVICES))
        taken = {service: base + PORT_OFFSETS[service] for service in SERVICES}
        for service, count in self.replicas.items():
            for number in range(2, count + 1):
                taken[member_name(service, number)] = ports.free_port()
        return taken

    def choose_edge_port(self, taken: Iterable[int]) -> int:
        """Return the port of the edge, beside those that are `taken`. Raises `StackError` when none is free."""
        if self.edge_port is not None:
            return self.edge_port
        if self.port_base is None:
            return ports.free_port()
        avoided = {*taken, self.postgres_port, self.nats_port}
        candidates = [self.port_base + offset for offset in EDGE_OFFSETS]
        return ports.first_free(
            [port for port in candidates if port not in avoided and port <= _LAST],
            host=self.host,
            advice="set CAFETERIA_EDGE_PORT to one, or CAFETERIA_EDGE=false.",
        )


def own_origins(host: str, ports: Iterable[int], *, edge_port: int | None = None) -> str:
    """Return the origins of a stack that this machine alone reaches; "" for others, whose names nobody knows here."""
    if not ip_address(host).is_loopback:
        return ""
    names = (bracketed(host), "localhost")
    origins = [f"http://{name}:{port}" for port in sorted(ports) for name in names]
    if edge_port is not None:
        of_roles = ("kitchen.localhost", "ops.localhost")
        origins += [f"http://{name}:{edge_port}" for name in (*names, *of_roles)]
    return ",".join(origins)


def member_name(service: str, number: int = 1) -> str:
    return service if number == 1 else f"{service}-{number}"


def service_of(member: str) -> str:
    return member.partition("-")[0]


def _refuse_one_port_for_two(ports: Mapping[str, int | None]) -> None:
    base = ports["CAFETERIA_PORT_BASE"] or DEFAULT_PORT_BASE
    taken = {base + offset: "CAFETERIA_PORT_BASE" for offset in PORT_OFFSETS.values()}
    for name in _PORTS[1:]:
        port = ports[name]
        if port in taken:
            raise SettingError(f"{name} and {taken[port]} both ask for port {port}: change one of them.")
        if port:
            taken[port] = name


def _port(environ: Mapping[str, str], name: str) -> int | None:
    text = read_variable(environ, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= _HIGHEST:
        raise SettingError(f"{name} must be a port number from 1 to {_HIGHEST}, not {text!r}.")
    return int(text)


_HIGHEST = 65_500  # the five services' ports are consecutive
_LAST = 65_535
