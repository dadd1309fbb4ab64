"""The cluster under test: the running stack, the proxies between its processes and servers, its database and bus."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Self

import aiohttp
import asyncpg

from cafeteria.contracts.subjects import IDENTITY, KITCHEN, SERVICES
from cafeteria.faultkit.bus_admin import BusAdmin
from cafeteria.faultkit.history import History
from cafeteria.faultkit.proxy import Proxy
from cafeteria.faultkit.student import Student, Urls
from cafeteria.faultkit.tcp_proxy import HOST
from cafeteria.local_stack import ports
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.plan import Plan, member_name, service_of
from cafeteria.local_stack.stack import Stack
from cafeteria.provisioning.administrator import connected

POSTGRES, NATS = "postgres", "nats"
SERVERS = (POSTGRES, NATS)
READY_WITHIN_S = 90.0
"""The longest time until a process is ready again, overlapping faults included; later counts as never."""

SERVICE_SETTINGS = {
    KITCHEN: {"KITCHEN_PREP_MIN_S": "0", "KITCHEN_PREP_MAX_S": "0", "KITCHEN_STATIONS": "1000"},
    IDENTITY: {"IDENTITY_ACCESS_TOKEN_S": "240"},  # tokens expire during the run, as in production
}


class NeverReadyError(Exception):
    """A process did not become ready again."""


class Cluster:
    """The cluster, used as a context manager: inside it everything runs, each process behind its own two proxies.

    `settings` are environment variables by service, beside SERVICE_SETTINGS.
    """

    def __init__(
        self,
        root: Path,
        *,
        replicas: int,
        seed: int,
        fork_server: ForkServer | None = None,
        settings: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> None:
        self.data_directory = DataDirectory(root=root)
        self.seed = seed
        self._replicas = replicas
        self._fork_server = fork_server
        self._settings = settings
        self.chance = random.Random(f"{seed}:proxies")  # noqa: S311 - repeatable on purpose
        self._exits = AsyncExitStack()
        self._locks = {server: asyncio.Lock() for server in SERVERS}
        self.proxies: dict[tuple[str, str], Proxy] = {}
        """Proxies by process and server."""
        self.students: list[Student] = []
        """The logged-in students; empty until they have logged in."""
        self.began_at = monotonic()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as starting:
            await self._start(starting)
            self._exits = starting.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def _start(self, starting: AsyncExitStack) -> None:
        postgres_port = ports.free_ports(2)
        server_ports = {POSTGRES: postgres_port, NATS: postgres_port + 1}
        numbers = range(1, self._replicas + 1)
        processes = [member_name(service, number) for service in SERVICES for number in numbers]
        for process in processes:
            for server, port in server_ports.items():
                proxy = Proxy(host=HOST, port=port, chance=self.chance)
                self.proxies[process, server] = await starting.enter_async_context(proxy)
        plan = Plan(
            postgres_port=server_ports[POSTGRES],
            nats_port=server_ports[NATS],
            replicas=dict.fromkeys(SERVICES, self._replicas),
            service_environments={process: self._environment(process) for process in processes},
            fork_server=self._fork_server,
        )
        self.stack = await starting.enter_async_context(Stack(self.data_directory, plan))
        connector = aiohttp.TCPConnector(limit=0)
        self.http = await starting.enter_async_context(aiohttp.ClientSession(connector=connector))
        self.bus = await starting.enter_async_context(BusAdmin(self.stack.servers.nats_admin_url))

    def _environment(self, process: str) -> dict[str, str]:
        return {
            "CAFETERIA_POSTGRES_URL": f"postgresql://{HOST}:{self.proxies[process, POSTGRES].port}/cafeteria",
            "CAFETERIA_NATS_URL": f"nats://{HOST}:{self.proxies[process, NATS].port}",
            "CAFETERIA_MAX_CONNECTIONS_PER_ADDRESS": "0",  # all load clients have one address
            **SERVICE_SETTINGS.get(service_of(process), {}),
            **self._settings.get(service_of(process), {}),
        }

    @property
    def now_s(self) -> float:
        return monotonic() - self.began_at

    @property
    def urls(self) -> Urls:
        return Urls(
            identity=self.stack.url("identity"),
            gateways=self._urls_of("gateway"),
            notifications=self._urls_of("notification"),
        )

    def _urls_of(self, service: str) -> tuple[str, ...]:
        return tuple(self.stack.url(process) for process in self.processes(service))

    @property
    def all_processes(self) -> list[str]:
        """Names of all service processes."""
        return [name for name in self.stack.names if name not in SERVERS]

    def processes(self, service: str) -> list[str]:
        return [name for name in self.all_processes if service_of(name) == service]

    def lock(self, server: str) -> asyncio.Lock:
        """Return the server's lock, so that one fault at a time stops or starts it."""
        return self._locks[server]

    async def ready(self, process: str) -> None:
        """Wait until the process is ready. Raises NeverReadyError."""
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await self.stack.ready(process)
        except TimeoutError:
            raise NeverReadyError(f"{process} was not ready {READY_WITHIN_S:.0f} s after its fault") from None

    def database(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        """Connect as superuser, with access to all schemas, not through a proxy."""
        url = self.stack.servers.targets().postgres_url
        return connected(url, timeout=20, server_settings={"application_name": "rush"})

    def student(self, student_id: str, history: History, *, chance: random.Random) -> Student:
        """Return a student, not logged in, who records everything in `history`."""
        return Student(
            student_id,
            http=self.http,
            urls=self.urls,
            history=history,
            chance=chance,
            began_at=self.began_at,
        )
