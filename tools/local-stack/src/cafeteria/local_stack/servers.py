"""Starts Postgres and NATS for a stack, or uses the running servers that the plan names."""

import asyncio
from typing import Protocol

from cafeteria.local_stack import ports
from cafeteria.local_stack.child import Child, Program
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.edge import EDGE
from cafeteria.local_stack.nats_server import NatsServer
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.polling import is_true_within
from cafeteria.local_stack.postgres import PostgresServer
from cafeteria.local_stack.supervised_process import SupervisedProcess
from cafeteria.provisioning.credentials import Credentials
from cafeteria.provisioning.errors import StackError
from cafeteria.provisioning.targets import Targets, nats_admin_url, postgres_admin_url, without_credentials

POSTGRES = "postgres"
NATS = "nats"


START_TIMEOUT_S = 30.0  # Postgres replays its journal since the last checkpoint; NATS reads a large store
POLL_S = 0.03
_TITLES = {POSTGRES: "Postgres", NATS: "NATS", EDGE: "The edge"}


class _Server(Protocol):
    def program(self) -> Program: ...

    async def is_ready(self) -> bool: ...


class Servers:
    """Both servers of one data directory. `keep` restarts a server that died; otherwise it stays down until `start`."""

    def __init__(self, home: DataDirectory, plan: Plan, *, keep: bool) -> None:
        self.credentials = Credentials.ensure(home.secrets)
        self._plan = plan
        self._postgres = None if plan.postgres_url else self._own_postgres(home)
        self._nats = None if plan.nats_url else self._own_nats(home)
        self.members: dict[str, SupervisedProcess] = {}
        if self._postgres:
            self.members[POSTGRES] = supervised(POSTGRES, self._postgres, home=home, keep=keep)
        if self._nats:
            self.members[NATS] = supervised(NATS, self._nats, home=home, keep=keep)

    @property
    def postgres_admin_url(self) -> str:
        if self._postgres:
            return self._postgres.admin_url
        return postgres_admin_url(self._plan.postgres_url or "", self.credentials)

    @property
    def nats_admin_url(self) -> str:
        if self._nats:
            return self._nats.admin_url
        return nats_admin_url(self._plan.nats_url or "", self.credentials)

    @property
    def postgres_url(self) -> str:
        """The URL for services, without credentials."""
        return without_credentials(self.postgres_admin_url)

    @property
    def nats_url(self) -> str:
        """The URL for services, without credentials."""
        return without_credentials(self.nats_admin_url)

    @property
    def monitor_url(self) -> str | None:
        """The URL of NATS' monitoring, if known."""
        return self._nats.monitor_url if self._nats else self._plan.nats_monitor_url

    @property
    def ports(self) -> list[tuple[str, int]]:
        """The names and ports of the servers to start."""
        own = [(POSTGRES, self._postgres), (NATS, self._nats)]
        return [(name, server.port) for name, server in own if server]

    async def start(self) -> None:
        """Start both and return once they accept clients. Raises `StackError`."""
        if self._nats:
            self._nats.prepare()
        if self._postgres:
            await self._postgres.prepare()
        await asyncio.gather(*(member.start() for member in self.members.values()))

    async def stop(self, *, grace_s: float) -> None:
        await asyncio.gather(*(member.stop(grace_s=grace_s) for member in self.members.values()))

    async def wipe_nats(self) -> None:
        """Kill NATS, remove its store with every stream and durable, and start it again.

        Raises `StackError` for a NATS that the stack did not start.
        """
        if self._nats is None:
            raise StackError("This stack did not start NATS, so it does not remove its store.")
        nats = self.members[NATS]
        await nats.stop(grace_s=0)
        await asyncio.to_thread(self._nats.wipe)
        await nats.start()

    def targets(self) -> Targets:
        return Targets(
            postgres_url=self.postgres_admin_url,
            nats_url=self.nats_admin_url,
            monitor_url=self.monitor_url,
            credentials=self.credentials,
            stream_max_bytes=self._plan.stream_max_bytes,
            with_demo_data=self._plan.with_demo_data,
        )

    def _own_postgres(self, home: DataDirectory) -> PostgresServer:
        port = self._plan.postgres_port or ports.free_port()
        return PostgresServer(home=home, credentials=self.credentials, port=port)

    def _own_nats(self, home: DataDirectory) -> NatsServer:
        return NatsServer(
            home=home,
            credentials=self.credentials,
            port=self._plan.nats_port or ports.free_port(),
            monitor_port=ports.free_port(),
            stream_max_bytes=self._plan.stream_max_bytes,
        )


def supervised(name: str, server: _Server, *, home: DataDirectory, keep: bool) -> SupervisedProcess:
    """Keep the server running, its output in its log. A start raises `StackError` unless it is ready in time."""
    log = home.logs / f"{name}.log"

    async def ready(child: Child) -> None:
        async def is_decided() -> bool:
            return child.exit_code is not None or await server.is_ready()

        is_in_time = await is_true_within(START_TIMEOUT_S, is_decided, poll_s=POLL_S)
        if child.exit_code is not None:
            raise StackError(f"{_TITLES[name]} ended while it started: the end of {log} says why.")
        if not is_in_time:
            raise StackError(f"{_TITLES[name]} was not ready within {START_TIMEOUT_S:.0f} s: see {log}.")

    return SupervisedProcess(name, program=server.program, ready=ready, log=log, keep=keep)
