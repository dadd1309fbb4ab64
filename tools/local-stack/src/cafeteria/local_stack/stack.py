"""The whole system as one object: for `up`, for end-to-end tests, for whoever throws faults at it.

    async with Stack(home, plan) as stack:
        await client.post(f"{stack.url('gateway')}/v1/orders", …)
        stack.kill("stock")                 # it comes back by itself
        await stack.stop("kitchen")         # it stays away, until
        await stack.start("kitchen")
        with stack.frozen("stock"): …       # alive, but silent
        await stack.wipe_nats()             # killed, its store lost, started again

Members are the services, `gateway-2` and so on for further replicas, `postgres` and `nats`.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Self

from cafeteria.chassis.runtime.addresses import bracketed
from cafeteria.contracts.subjects import IDENTITY
from cafeteria.local_stack import ports
from cafeteria.local_stack.child import Child, Echo
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.plan import Plan, service_of
from cafeteria.local_stack.servers import Servers
from cafeteria.local_stack.service import service_environment, service_program, wait_ready
from cafeteria.local_stack.supervised_process import SupervisedProcess
from cafeteria.local_stack.tasks import ended
from cafeteria.provisioning.addresses import reaching_host
from cafeteria.provisioning.plain_http import plain_http

SERVICE_GRACE_S = 3.2  # a service answers what it has read and ends within three seconds
SERVER_GRACE_S = 1.4  # the rest of the five seconds in which all must be over

EchoFor = Callable[[str], Echo]


class Stack:
    """Use as a context manager: inside it everything that is not idle runs and is ready; afterwards nothing does.

    `echo_for` gives, for a member's name, what to do with each line of its output; without it output goes to
    `<home>/logs` alone. With `keep`, what dies is started again.
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
        """Added to a member's environment at its next start; keyed by member, or by service for all replicas."""
        self._keep = keep
        self._echo_for = echo_for
        self._ports: dict[str, int] = {}
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
        """Admin URLs, credentials, NATS' monitoring."""
        return self._servers

    def url(self, member: str) -> str:
        """Base URL of a service."""
        return f"http://{bracketed(reaching_host(self.plan.host))}:{self._ports[member]}"

    def pid(self, member: str) -> int:
        return self._members[member].pid

    def is_running(self, member: str) -> bool:
        return self._members[member].is_running

    def log(self, member: str) -> str:
        """Everything that it has written so far."""
        path = self._members[member].log_file
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self, member: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and nothing else: what is kept comes back by itself."""
        self._members[member].kill(number)

    def frozen(self, member: str) -> AbstractContextManager[None]:
        """Within it the member is alive and answers nobody."""
        return self._members[member].frozen()

    async def stop(self, member: str) -> None:
        """End it in good order; it stays away until `start`."""
        await self._members[member].stop()

    async def start(self, member: str) -> None:
        """Start it again and wait until it is ready."""
        await self._members[member].start()

    async def restart(self, member: str) -> None:
        await self.stop(member)
        await self.start(member)

    async def ready(self, member: str) -> None:
        """Wait until it answers, for instance after a `kill`."""
        await self._members[member].ready()

    async def wipe_nats(self) -> None:
        """Kill NATS, remove its store, start it again; the watch makes the streams anew within a second or so."""
        await self._servers.wipe_nats()

    async def _start(self, stack: AsyncExitStack) -> None:
        self._servers = Servers(self.home, self.plan, keep=self._keep)
        self._ports = self.plan.service_ports()
        self._require_free_ports()
        self._client = await stack.enter_async_context(plain_http(timeout_s=2))
        self._members = dict(self._servers.members)
        stack.push_async_callback(self._servers.stop, grace_s=SERVER_GRACE_S)
        await self._servers.start()
        from cafeteria.provisioning.bootstrap import prepare_bus, prepare_database, watch_bus  # noqa: PLC0415 - a second and a half, for which a start that was refused above need not wait

        targets = self._servers.targets()
        await asyncio.gather(prepare_database(targets), prepare_bus(targets))
        watch = asyncio.create_task(watch_bus(targets))
        stack.push_async_callback(ended, watch)
        services = {name: self._service_member(name) for name in self._ports}
        self._members |= services
        stack.push_async_callback(_stop_all, services)
        await self._start_services(services)

    async def _start_services(self, services: Mapping[str, SupervisedProcess]) -> None:
        """Identity first: the others are not ready before they know its keys."""
        wanted = {name for name in services if service_of(name) not in self.plan.idle}
        first = {name for name in wanted if service_of(name) == IDENTITY}
        for names in (first, wanted - first):
            await asyncio.gather(*(services[name].start() for name in names))

    def _require_free_ports(self) -> None:
        ports.require_free(
            [*self._ports.items()],
            host=self.plan.host,
            advice="stop what listens there, or set CAFETERIA_PORT_BASE to move the five services elsewhere.",
        )
        ports.require_free(
            self._servers.ports,
            advice="stop what listens there, or set CAFETERIA_POSTGRES_PORT or CAFETERIA_NATS_PORT to another.",
        )

    def _service_member(self, name: str) -> SupervisedProcess:
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

    def environment_of(self, name: str) -> dict[str, str]:
        """What the member is started with the next time; secrets are in it as the names of files."""
        service = service_of(name)
        environment = service_environment(
            service,
            inherited=self.plan.environment,
            home=self.home,
            servers=self._servers,
            host=self.plan.host,
            port=self._ports[name],
        )
        for key in dict.fromkeys((service, name)):
            environment |= self.environments.get(key, {})
        return environment


async def _stop_all(members: Mapping[str, SupervisedProcess]) -> None:
    await asyncio.gather(*(member.stop(grace_s=SERVICE_GRACE_S) for member in members.values()))
