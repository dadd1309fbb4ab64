"""Runs the edge: Caddy before the pages and all services, which makes them one origin for browsers.

deploy/edge/Caddyfile decides what is reachable, here as in containers; this module gives it the addresses of this machine.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import httpx

from cafeteria.chassis.runtime.addresses import bracketed
from cafeteria.contracts.subjects import SERVICES
from cafeteria.local_stack.binaries import caddy
from cafeteria.local_stack.child import Program
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.plan import service_of
from cafeteria.provisioning.addresses import reaching_host
from cafeteria.provisioning.errors import StackError
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.web.assets import SITE

EDGE = "edge"
CADDYFILE = Path(__file__).parents[5] / "deploy" / "edge" / "Caddyfile"

WITH_REPLICAS = {"TRY_FOR": "300ms", "SHUT_OUT": "1s"}
"""For one process it is better to answer 503 at once, and to ask the process again as soon as it has restarted."""

STUDENTS, KITCHEN, OPERATOR, BOARD = "Students", "Kitchen", "Operator", "Board"
_ON_THIS_MACHINE = {
    STUDENTS: "http://localhost:{port}",
    KITCHEN: "http://kitchen.localhost:{port}",
    OPERATOR: "http://ops.localhost:{port}",
    BOARD: "http://localhost:{port}/board",
}
_PATHS = {STUDENTS: "", KITCHEN: "/kitchen", OPERATOR: "/ops", BOARD: "/board"}


@dataclass(frozen=True, kw_only=True)
class Edge:
    """One edge that listens on `host` and `port`. `upstreams` has the ports of each service's processes.

    `demo` is the address, as host:port, of the control of a demonstration; "" without one. `site` holds the pages.
    """

    home: DataDirectory
    host: str
    port: int
    upstreams: Mapping[str, Sequence[int]]
    demo: str = ""
    site: Path = SITE

    @property
    def url(self) -> str:
        return f"http://{bracketed(reaching_host(self.host))}:{self.port}"

    def program(self) -> Program:
        """Return the command. Raises `StackError` when Caddy or its configuration is missing."""
        if not CADDYFILE.is_file():
            raise StackError(f"{CADDYFILE} is missing: run from a checkout, or set CAFETERIA_EDGE=false.")
        return Program(
            argv=(caddy(), "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"),
            env=self.environment(),
            own_group=True,
        )

    def environment(self) -> dict[str, str]:
        """Return the variables of the Caddyfile, and folders of its own for what Caddy writes."""
        return {
            "PATH": os.defpath,
            "TZ": "UTC",
            "XDG_CONFIG_HOME": str(self.home.edge / "config"),
            "XDG_DATA_HOME": str(self.home.edge / "data"),
            "SITE": f"http://:{self.port}",
            "BIND": self.host,
            "PAGES": str(self.site),
            **{service.upper(): self._addresses(ports) for service, ports in self.upstreams.items()},
            **(WITH_REPLICAS if any(len(ports) > 1 for ports in self.upstreams.values()) else {}),
            **({"DEMO": self.demo} if self.demo else {}),
        }

    async def is_ready(self) -> bool:
        async with plain_http(timeout_s=1) as client:
            try:
                answer = await client.get(f"{self.url}/edge/live")
            except httpx.HTTPError:
                return False
        return answer.status_code == httpx.codes.OK

    def _addresses(self, ports: Sequence[int]) -> str:
        host = bracketed(reaching_host(self.host))
        return " ".join(f"{host}:{port}" for port in ports)


def upstreams(service_ports: Mapping[str, int]) -> dict[str, list[int]]:
    """Return the ports of each service's processes, from the ports of all processes by name."""
    return {
        service: [port for name, port in service_ports.items() if service_of(name) == service]
        for service in SERVICES
    }


def page_addresses(host: str, port: int) -> dict[str, str]:
    """Return the address of each role's page.

    On this machine kitchen and operators have hosts of their own, which need no DNS: cookies belong to a host, so one
    browser can be signed in as all of them.
    """
    address = ip_address(host)
    if address.is_loopback or address.is_unspecified:
        return {who: url.format(port=port) for who, url in _ON_THIS_MACHINE.items()}
    return {who: f"http://{bracketed(host)}:{port}{path}" for who, path in _PATHS.items()}
