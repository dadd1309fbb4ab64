"""The environment of a benchmark: one Postgres, one NATS, and on them the product or the floor, one at a time.

A round begins with empty tables and streams, the same items and the same students.
"""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import asyncpg
import msgspec

from cafeteria.bench.generator import BenchError, Load, place_orders
from cafeteria.bench.options import Options
from cafeteria.contracts.subjects import GATEWAY, IDENTITY, KITCHEN, NOTIFICATION, SERVICES, STOCK
from cafeteria.local_stack import ports
from cafeteria.local_stack.child import Child, Program
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.edge import EDGE
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.plan import Plan, service_of
from cafeteria.local_stack.polling import is_true_within
from cafeteria.local_stack.servers import NATS, POSTGRES
from cafeteria.local_stack.service import service_environment
from cafeteria.local_stack.stack import Stack
from cafeteria.local_stack.supervised_process import SupervisedProcess
from cafeteria.provisioning.administrator import connected
from cafeteria.provisioning.demo_data import STUDENTS
from cafeteria.provisioning.streams import BusAdmin
from cafeteria.testkit.tokens import Tokens

FLOOR_ROLES = (STOCK, KITCHEN, NOTIFICATION, GATEWAY)
PORTIONS = 1_000_000
STUDENT_COUNT = 100
STREAM_MAX_BYTES = 2 << 30
READY_WITHIN_S = 30.0
POLL_S = 0.05

KEPT_TABLES = ("identity.users", "stock.items", "stock.inventory", "stock.restocks", "kitchen.pickup_key")
"""Accounts, items and the key of the pickup codes; all other tables are empty when a round begins."""

_WRITTEN_TABLES = """
SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1) AND c.relkind = 'r' AND c.relname <> 'alembic_version'
    AND format('%s.%s', n.nspname, c.relname) <> ALL($2)
"""

NO_COOKING_TIME = {"KITCHEN_PREP_MIN_S": "0", "KITCHEN_PREP_MAX_S": "0"}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A running system that takes orders; `pids` are its processes and the servers', by name."""

    name: str
    gateways: tuple[str, ...]
    notification: str
    pids: dict[str, int]


System = Callable[[], AbstractAsyncContextManager[Target]]


class Environment:
    """The servers, the students' tokens and the items. Use as a context manager."""

    def __init__(
        self,
        data_directory: DataDirectory,
        *,
        replicas: Mapping[str, int] | None = None,
        fork_server: ForkServer | None = None,
        with_edge: bool = False,
    ) -> None:
        self._data_directory = data_directory
        plan = Plan(
            replicas=replicas or {},
            idle=frozenset(SERVICES) - {IDENTITY},
            # all the load comes from one address
            environment={**os.environ, "CAFETERIA_MAX_CONNECTIONS_PER_ADDRESS": "0"},
            service_environments={KITCHEN: NO_COOKING_TIME},
            stream_max_bytes=STREAM_MAX_BYTES,
            fork_server=fork_server,
            with_edge=with_edge,
        )
        self.stack = Stack(data_directory, plan, keep=False)
        self.items: tuple[str, ...] = ()
        self.students: tuple[str, ...] = ()
        self.tokens: tuple[str, ...] = ()
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await opening.enter_async_context(self.stack)
            servers = self.stack.servers
            self.admin: asyncpg.Connection = await opening.enter_async_context(
                connected(servers.postgres_admin_url)
            )
            self._bus = await opening.enter_async_context(
                BusAdmin(servers.nats_admin_url, stream_max_bytes=STREAM_MAX_BYTES)
            )
            await self._read_fixtures()
            self._running = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    @asynccontextmanager
    async def product(
        self, *, portions: int = PORTIONS, keep: bool = False, with_replicas: bool = True
    ) -> AsyncIterator[Target]:
        """Start the product's services, on empty tables unless `keep` is set."""
        if not keep:
            await self.clean(portions=portions)
        names = [name for name in self._services() if with_replicas or service_of(name) == name]
        await asyncio.gather(*(self.stack.start(name) for name in names))
        try:
            yield Target(
                name="product",
                gateways=tuple(self.stack.url(name) for name in names if service_of(name) == GATEWAY),
                notification=self.stack.url(NOTIFICATION),
                pids={name: self.stack.pid(name) for name in (*names, *self._running_on())},
            )
        finally:
            await self._stop_services()

    @asynccontextmanager
    async def floor(
        self, *, portions: int = PORTIONS, environment: Mapping[str, str] | None = None
    ) -> AsyncIterator[Target]:
        """Start the floor's four processes on the same servers; identity provides the public keys of tokens."""
        await self.clean(portions=portions)
        ports_by_role = {role: ports.free_port() for role in FLOOR_ROLES}
        processes = {
            role: self._floor_process(role, port=port, extra=environment or {})
            for role, port in ports_by_role.items()
        }
        try:
            for process in processes.values():
                await process.start()
            others = {name: self.stack.pid(name) for name in self._running_on()}
            yield Target(
                name="floor",
                gateways=(f"http://{ports.HOST}:{ports_by_role[GATEWAY]}",),
                notification=f"http://{ports.HOST}:{ports_by_role[NOTIFICATION]}",
                pids={role: process.pid for role, process in processes.items()} | others,
            )
        finally:
            await asyncio.gather(*(process.stop(grace_s=1) for process in processes.values()))

    async def place_orders(
        self, target: Target, *, connections: int, seconds: float, items: Sequence[str] | None = None
    ) -> Load:
        """Place orders of all students at the target's gateways. Raises BenchError when wrk fails."""
        return await place_orders(
            target.gateways,
            tokens=self.tokens,
            items=items or self.items,
            connections=connections,
            seconds=seconds,
        )

    async def clean(self, *, portions: int = PORTIONS) -> None:
        """Reset tables and streams, and write a checkpoint so that none is due. Call it only while no service runs."""
        tables = await self.admin.fetchval(_WRITTEN_TABLES, list(SERVICES), list(KEPT_TABLES))
        await self.admin.execute(f"TRUNCATE {tables} RESTART IDENTITY")
        async with self.admin.transaction():
            await self.admin.execute("UPDATE stock.inventory SET quantity = $1, version = 1", portions)
            await self.admin.execute("UPDATE stock.restocks SET quantity = $1", portions)
        await self._bus.purge()
        await self.admin.execute("CHECKPOINT")

    def sign(self, students: Iterable[str]) -> tuple[str, ...]:
        """Return an access token for each student."""
        tokens = Tokens(self.stack.servers.credentials.signing_key_file)
        return tuple(tokens.student(student) for student in students)

    async def _read_fixtures(self) -> None:
        rows = await self.admin.fetch("SELECT id FROM stock.items ORDER BY id")
        self.items = tuple(str(row[0]) for row in rows)
        self.students = STUDENTS[:STUDENT_COUNT]
        self.tokens = self.sign(self.students)

    def _running_on(self) -> list[str]:
        """Return the names of what runs through all rounds: servers, the edge, and identity, whose keys all systems use."""
        return [name for name in self.stack.names if name in (IDENTITY, POSTGRES, NATS, EDGE)]

    def _services(self) -> list[str]:
        """Return the names of the services that stop between rounds."""
        return [name for name in self.stack.names if name not in self._running_on()]

    async def _stop_services(self) -> None:
        await asyncio.gather(*(self.stack.stop(name) for name in self._services()))

    def _floor_process(self, role: str, *, port: int, extra: Mapping[str, str]) -> SupervisedProcess:
        log = self._data_directory.logs / f"floor-{role}.log"
        log.unlink(missing_ok=True)
        environment = service_environment(
            role,
            inherited={**os.environ, **extra},
            home=self._data_directory,
            servers=self.stack.servers,
            port=port,
        )
        program = Program(argv=(sys.executable, "-m", f"cafeteria.bench.floor.{role}"), env=environment)
        serves = role in (GATEWAY, NOTIFICATION)

        async def ready(child: Child) -> None:
            await _until(lambda: _has_printed_ready(log), child, log)
            if serves:
                await _until(lambda: not ports.is_free(port), child, log)

        return SupervisedProcess(f"floor-{role}", program=lambda: program, ready=ready, log=log, keep=False)


async def _until(condition: Callable[[], bool], child: Child, log: Path) -> None:
    await is_true_within(READY_WITHIN_S, lambda: child.exit_code is not None or condition(), poll_s=POLL_S)
    if not condition():
        raise BenchError(f"The floor did not start: {_end_of(log)}")


def _has_printed_ready(log: Path) -> bool:
    return log.read_text().startswith("ready")


def _end_of(log: Path) -> str:
    return log.read_text()[-1000:]


@asynccontextmanager
async def open_environment(
    options: Options, *, replicas: Mapping[str, int] | None = None, with_edge: bool = False
) -> AsyncIterator[Environment]:
    """Start an environment in the data directory of the options."""
    with options.data_directory() as data_directory:
        async with Environment(data_directory, replicas=replicas, with_edge=with_edge) as environment:
            yield environment


def silence_bus() -> None:
    """nats-py logs a traceback for every message to a connection that is being closed."""
    logging.getLogger("nats").setLevel(logging.CRITICAL)
