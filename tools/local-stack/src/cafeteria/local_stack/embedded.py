"""The embedded Postgres and NATS as members of a stack."""

import asyncio
from pathlib import Path
from typing import Protocol

from cafeteria.local_stack import ports
from cafeteria.local_stack.child import Child, Program
from cafeteria.local_stack.credentials import Credentials
from cafeteria.local_stack.home import Home
from cafeteria.local_stack.member import Member
from cafeteria.local_stack.nats_server import NatsServer
from cafeteria.local_stack.postgres import PostgresServer
from cafeteria.local_stack.targets import Targets

POSTGRES = "postgres"
NATS = "nats"


class _Server(Protocol):
    def program(self) -> Program: ...

    async def wait_ready(self, child: Child, *, log: Path) -> None: ...


class EmbeddedServers:
    """Both servers on one home. `keep`: what dies is started again; otherwise it stays down until `start`."""

    def __init__(self, home: Home, *, stream_max_bytes: int, keep: bool) -> None:
        self.credentials = Credentials.ensure(home.secrets)
        self.postgres_server = PostgresServer(home=home, credentials=self.credentials, port=ports.free_port())
        port = ports.free_ports(2)
        self.nats_server = NatsServer(
            home=home,
            credentials=self.credentials,
            port=port,
            monitor_port=port + 1,
            stream_max_bytes=stream_max_bytes,
        )
        self._stream_max_bytes = stream_max_bytes
        self.postgres = _member(POSTGRES, self.postgres_server, home=home, keep=keep)
        self.nats = _member(NATS, self.nats_server, home=home, keep=keep)

    async def start(self) -> None:
        """Return once both take clients. Raises `StackError`."""
        await self.postgres_server.prepare()
        self.nats_server.prepare()
        await asyncio.gather(self.postgres.start(), self.nats.start())

    async def stop(self) -> None:
        await asyncio.gather(self.postgres.stop(), self.nats.stop())

    async def wipe_nats(self) -> None:
        """Kill NATS, remove its store, and start it again: every stream and durable is gone."""
        self.nats.kill()
        await self.nats.stop()
        await asyncio.to_thread(self.nats_server.wipe)
        await self.nats.start()

    def targets(self, *, with_demo_data: bool) -> Targets:
        return Targets(
            postgres_url=self.postgres_server.admin_url,
            nats_url=self.nats_server.admin_url,
            monitor_url=self.nats_server.monitor_url,
            credentials=self.credentials,
            stream_max_bytes=self._stream_max_bytes,
            with_demo_data=with_demo_data,
        )


def _member(name: str, server: _Server, *, home: Home, keep: bool) -> Member:
    log = home.logs / f"{name}.log"

    async def ready(child: Child) -> None:
        await server.wait_ready(child, log=log)

    return Member(name, program=server.program, ready=ready, log=log, keep=keep)
