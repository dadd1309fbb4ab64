"""Runs the whole system as one object, for `up`, end-to-end tests and fault injection.

    async with Stack(home, plan) as stack:
        await client.post(f"{stack.url('gateway')}/v1/orders", …)
        stack.kill("stock")                 # it restarts by itself
        await stack.stop("kitchen")         # it stays down until
        await stack.start("kitchen")
        with stack.frozen("stock"): …       # alive, but it does not answer
        await stack.wipe_nats()             # killed, store removed, started again

Its members are the services, `gateway-2` and so on for further replicas, `postgres`, `nats`, and `edge` if the plan has it.
With demo controls in the plan, people switch members off and on over HTTP at `demo_address`.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Self

from cafeteria.chassis.runtime.addresses import bracketed
from cafeteria.contracts.subjects import IDENTITY
from cafeteria.local_stack import ports
from cafeteria.local_stack.child import Child, Echo
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.edge import EDGE, STUDENTS, Edge, page_addresses, upstreams
from cafeteria.local_stack.plan import Plan, own_origins, service_of
from cafeteria.local_stack.servers import Servers, supervised
from cafeteria.local_stack.service import service_environment, service_program, wait_ready
from cafeteria.local_stack.supervised_process import SupervisedProcess
from cafeteria.local_stack.tasks import ended
from cafeteria.provisioning.addresses import reaching_host
from cafeteria.provisioning.plain_http import plain_http

SERVICE_GRACE_S = 3.2  # a service answers its open requests and ends within three seconds
SERVER_GRACE_S = 1.4  # the rest of the five seconds for the whole stop

EchoFor = Callable[[str], Echo]


class Stack:
    """Use it as a context manager: inside, every process that is not idle is ready; afterwards none runs.

    `echo_for` returns, for a member's name, a function that receives each line of its output; without it the output
    goes to `<home>/logs` only. `keep` restarts a process that died.
    """

    def __init__(
        self,
        home: DataDirectory | Path,
        plan: Plan | None = None,
        *,
        echo_for: EchoFor | None = None,
        keep: bool = True,
    ) -> None:
        self.home = home if isinstance(home, DataDirectory) else DataDirectory(root=home.absolute())
        self.plan = plan or Plan()
        self.environments: dict[str, dict[str, str]] = {
            service: dict(extra) for service, extra in self.plan.service_environments.items()
        }
        """Variables for a member's next start, keyed by member, or by service for all replicas."""
        self.demo_address = ""
        """The demo controls' host:port, which the edge serves under /demo; empty without them."""
        self._keep = keep
        self._echo_for = echo_for
        self._ports: dict[str, int] = {}
        self._edge: Edge | None = None
        self._members: dict[str, SupervisedProcess] = {}
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as starting:
            starting.enter_context(self.home.held())
            await self._start(starting)
            self._running = starting.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._members)

    @property
    def servers(self) -> Servers:
        """The servers, with the administrator's URLs and credentials."""
        return self._servers

    @property
    def pages(self) -> dict[str, str]:
        """The address of each role's page; none without an edge."""
        return page_addresses(self._edge.host, self._edge.port) if self._edge else {}

    def url(self, member: str) -> str:
        """Return the base URL of a service process or of the edge."""
        if self._edge and member == EDGE:
            return self._edge.url
        return f"http://{bracketed(reaching_host(self.plan.host))}:{self._ports[member]}"

    def member(self, name: str) -> SupervisedProcess:
        """Return the member's process. Raises KeyError."""
        return self._members[name]

    def pid(self, member: str) -> int:
        return self._members[member].pid

    def is_running(self, member: str) -> bool:
        return self._members[member].is_running

    def log(self, member: str) -> str:
        """Return the member's output so far."""
        path = self._members[member].log_file
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self, member: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and nothing else; with `keep`, a killed member restarts by itself."""
        self._members[member].kill(number)

    def frozen(self, member: str) -> AbstractContextManager[None]:
        """Freeze the member within the context: it is alive and does not answer."""
        return self._members[member].frozen()

    async def stop(self, member: str) -> None:
        """End the member properly; it stays down until `start`."""
        await self._members[member].stop()

    async def start(self, member: str) -> None:
        """Start the member and wait until it is ready."""
        await self._members[member].start()

    async def restart(self, member: str) -> None:
        await self.stop(member)
        await self.start(member)

    async def ready(self, member: str) -> None:
        """Wait until the member is ready, for instance after a `kill`."""
        await self._members[member].ready()

    async def wipe_nats(self) -> None:
        """Kill NATS, remove its store and start it again; the watch restores the streams within about a second."""
        await self._servers.wipe_nats()

    async def _start(self, stack: AsyncExitStack) -> None:
        self._servers = Servers(self.home, self.plan, keep=self._keep)
        self._ports = self.plan.service_ports()
        demo_listener = self._bind_demo_controls(stack)
        self._edge = self._planned_edge() if self.plan.with_edge else None
        self._require_free_ports()
        self._client = await stack.enter_async_context(plain_http(timeout_s=2))
        self._members = dict(self._servers.members)
        stack.push_async_callback(self._servers.stop, grace_s=SERVER_GRACE_S)
        await self._servers.start()
        from cafeteria.provisioning.bootstrap import prepare_bus, prepare_database, watch_bus  # noqa: PLC0415 - a slow import, which a failed start does not need

        targets = self._servers.targets()
        await asyncio.gather(prepare_database(targets), prepare_bus(targets))
        watch = asyncio.create_task(watch_bus(targets))
        stack.push_async_callback(ended, watch)
        services = {name: self._supervise_service(name) for name in self._ports}
        edge = {EDGE: supervised(EDGE, self._edge, home=self.home, keep=self._keep)} if self._edge else {}
        self._members |= services | edge
        stack.push_async_callback(_stop_all, edge | services)
        await self._start_services(services)
        stack.callback(self._thaw)
        if demo_listener:
            from cafeteria.local_stack.control import demo_controls  # noqa: PLC0415 - a slow import, which few stacks need

            await stack.enter_async_context(demo_controls(self, demo_listener))
        await asyncio.gather(*(member.start() for member in edge.values()))

    def _bind_demo_controls(self, stack: AsyncExitStack) -> socket.socket | None:
        """Bind their port at once, so that other members can be told the address before it answers."""
        if not self.plan.has_demo_controls:
            return None
        listener = stack.enter_context(socket.create_server((ports.HOST, 0)))
        self.demo_address = f"{ports.HOST}:{listener.getsockname()[1]}"
        return listener

    def _thaw(self) -> None:
        """Let frozen members go on: a service that stops may need Postgres or NATS."""
        for member in self._members.values():
            if member.is_frozen:
                member.kill(signal.SIGCONT)

    async def _start_services(self, services: Mapping[str, SupervisedProcess]) -> None:
        """Start identity first, because the others are not ready before they have its keys."""
        wanted = {name for name in services if service_of(name) not in self.plan.idle}
        first = {name for name in wanted if service_of(name) == IDENTITY}
        for names in (first, wanted - first):
            await asyncio.gather(*(services[name].start() for name in names))

    def _require_free_ports(self) -> None:
        ports.require_free(
            [*self._ports.items()],
            host=self.plan.host,
            advice="stop what listens there, or set CAFETERIA_PORT_BASE to move the five services to other ports.",
        )
        ports.require_free(
            [(EDGE, self._edge.port)] if self._edge else [],
            host=self.plan.host,
            advice="stop what listens there, or set CAFETERIA_EDGE_PORT to another.",
        )
        ports.require_free(
            self._servers.ports,
            advice="stop what listens there, or set CAFETERIA_POSTGRES_PORT or CAFETERIA_NATS_PORT to another.",
        )

    def _planned_edge(self) -> Edge:
        return Edge(
            home=self.home,
            host=self.plan.host,
            port=self.plan.choose_edge_port(self._ports.values()),
            upstreams=upstreams(self._ports),
            demo=self.demo_address,
        )

    def _supervise_service(self, name: str) -> SupervisedProcess:
        async def ready(child: Child) -> None:
            await wait_ready(name, child, url=self.url(name), client=self._client)

        return SupervisedProcess(
            name,
            program=lambda: service_program(service_of(name), self.environment_of(name)),
            ready=ready,
            log=self.home.logs / f"{name}.log",
            echo=self._echo_for(name) if self._echo_for else None,
            keep=self._keep,
            start=self.plan.fork_server.start if self.plan.fork_server else Child.start,
        )

    def _defaults(self) -> dict[str, str]:
        """Return what services know of this stack unless the environment says otherwise."""
        edge = self._edge
        origins = own_origins(self.plan.host, self._ports.values(), edge_port=edge.port if edge else None)
        defaults = {"CAFETERIA_PUBLIC_ORIGINS": origins}
        if edge:
            # without this all browsers would share the limits of one address
            proxies = reaching_host(self.plan.host)
            defaults |= {"CAFETERIA_TRUSTED_PROXIES": proxies, "IDENTITY_TRUSTED_PROXIES": proxies}
            defaults["CAFETERIA_PAGES_URL"] = self.pages[STUDENTS]
        return defaults

    def environment_of(self, name: str) -> dict[str, str]:
        """Return the environment of the member's next start; it contains secrets as names of files."""
        service = service_of(name)
        environment = service_environment(
            service,
            inherited=self.plan.environment,
            home=self.home,
            servers=self._servers,
            host=self.plan.host,
            port=self._ports[name],
            defaults=self._defaults(),
        )
        for key in dict.fromkeys((service, name)):
            environment |= self.environments.get(key, {})
        return environment


async def _stop_all(members: Mapping[str, SupervisedProcess]) -> None:
    """Stop them together, because five seconds are too few for one after another; the first gets its signal first."""
    await asyncio.gather(*(member.stop(grace_s=SERVICE_GRACE_S) for member in members.values()))
