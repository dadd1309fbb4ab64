"""The environment of one order: servers, identity, four services behind wire proxies, one student.

Unlike in the local stack no process restarts by itself: the code that kills a service starts it again.
"""

import asyncio
import itertools
import os
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import monotonic
from typing import Self

import aiohttp

from cafeteria.contracts.subjects import (
    GATEWAY,
    IDENTITY,
    KITCHEN,
    NOTIFICATION,
    PORT_OFFSETS,
    SERVICES,
    STOCK,
)
from cafeteria.crash_points.killable_service import KillableService
from cafeteria.crash_points.naming import Marks
from cafeteria.crash_points.wire_proxy import NATS, POSTGRES, Place, Watcher, WireProxy
from cafeteria.faultkit.bus_admin import BusAdmin
from cafeteria.faultkit.history import History
from cafeteria.faultkit.operators import enrol
from cafeteria.faultkit.student import Student, Urls
from cafeteria.local_stack import ports
from cafeteria.local_stack.child import Child
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.servers import Servers
from cafeteria.local_stack.service import service_environment, service_program, wait_ready
from cafeteria.local_stack.supervised_process import SupervisedProcess
from cafeteria.local_stack.tasks import running
from cafeteria.provisioning.administrator import connected
from cafeteria.provisioning.bootstrap import prepare_bus, prepare_database
from cafeteria.provisioning.demo_data import PASSWORD, STUDENTS
from cafeteria.provisioning.plain_http import plain_http

KILLABLE_SERVICES = (GATEWAY, STOCK, KITCHEN, NOTIFICATION)
SERVER_GRACE_S = 4.0
STREAM_MAX_BYTES = 1 << 30
_IS_HELD = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'gateway.idempotency_keys'::regclass)"""
KITCHEN_SETTINGS = {"KITCHEN_MODE": "auto", "KITCHEN_PREP_MIN_S": "0", "KITCHEN_PREP_MAX_S": "0"}


class Environment:
    """The environment, used as a context manager: everything runs inside its block."""

    def __init__(self, data_directory: DataDirectory) -> None:
        self._data_directory = data_directory
        self.marks = Marks()
        self.history = History()
        self.killables: dict[str, KillableService] = {}
        self.began_at = monotonic()
        self._exits = AsyncExitStack()
        self._numbers = itertools.count(int(STUDENTS[0]))
        self._clients = itertools.count()
        self._other_students: list[Student] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as starting:
            await self._start(starting)
            self._exits = starting.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def _start(self, starting: AsyncExitStack) -> None:
        """Start everything; the services' modules load while the servers start."""
        starting.enter_context(self._data_directory.held())
        self._servers = Servers(self._data_directory, Plan(stream_max_bytes=STREAM_MAX_BYTES), keep=False)
        base = ports.free_ports(len(SERVICES))
        fork_server = await starting.enter_async_context(ForkServer())
        for service in KILLABLE_SERVICES:
            killable = await self._killable(starting, fork_server, service, port=base + PORT_OFFSETS[service])
            self.killables[service] = killable
        await self._start_servers(starting)
        identity = await self._identity(starting, fork_server, port=base + PORT_OFFSETS[IDENTITY])
        await asyncio.gather(identity.start(), *(killable.start() for killable in self.killables.values()))
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self.http = await starting.enter_async_context(aiohttp.ClientSession(connector=connector))
        self.bus = await starting.enter_async_context(BusAdmin(self._servers.nats_admin_url))
        self.database = await starting.enter_async_context(connected(self._servers.postgres_admin_url))
        await self.all_ready()

    async def _start_servers(self, starting: AsyncExitStack) -> None:
        starting.push_async_callback(self._servers.stop, grace_s=SERVER_GRACE_S)
        await self._servers.start()
        targets = self._servers.targets()
        await asyncio.gather(prepare_database(targets), prepare_bus(targets))

    async def _identity(
        self, starting: AsyncExitStack, fork_server: ForkServer, *, port: int
    ) -> SupervisedProcess:
        client = await starting.enter_async_context(plain_http(timeout_s=2))
        environment = self._environment(IDENTITY, port=port)

        async def ready(child: Child) -> None:
            await wait_ready(IDENTITY, child, url=f"http://{ports.HOST}:{port}", client=client)

        member = SupervisedProcess(
            IDENTITY,
            program=lambda: service_program(IDENTITY, environment),
            ready=ready,
            log=self._data_directory.logs / f"{IDENTITY}.log",
            start=fork_server.start,
        )
        starting.push_async_callback(member.stop)
        self._identity_url = f"http://{ports.HOST}:{port}"
        return member

    async def _killable(
        self, starting: AsyncExitStack, fork_server: ForkServer, service: str, *, port: int
    ) -> KillableService:
        server_ports = dict(self._servers.ports)
        proxies = {}
        for server in (POSTGRES, NATS):
            proxy = WireProxy(Place(service, server), port=server_ports[server], marks=self.marks)
            proxies[server] = await starting.enter_async_context(proxy)
        environment = self._environment(service, port=port)
        if service == KITCHEN:
            environment |= KITCHEN_SETTINGS
        log = self._data_directory.logs / f"{service}.log"
        return KillableService(
            service, fork_server=fork_server, port=port, environment=environment, log=log, proxies=proxies
        )

    def _environment(self, service: str, *, port: int) -> dict[str, str]:
        return service_environment(
            service, inherited=dict(os.environ), home=self._data_directory, servers=self._servers, port=port
        )

    async def all_ready(self) -> None:
        await asyncio.gather(*(killable.ready(self.http) for killable in self.killables.values()))

    async def kitchen_in(self, mode: str) -> None:
        """Restart the kitchen if its mode differs: `auto` cooks by itself, `manual` waits for an operator."""
        kitchen = self.killables[KITCHEN]
        if kitchen.environment["KITCHEN_MODE"] != mode:
            kitchen.environment["KITCHEN_MODE"] = mode
            await kitchen.restart()
            await kitchen.ready(self.http)

    def proxies(self, services: Iterable[str] = KILLABLE_SERVICES) -> list[WireProxy]:
        return [proxy for service in services for proxy in self.killables[service].proxies.values()]

    def watch(self, watcher: Watcher | None) -> None:
        for proxy in self.proxies():
            proxy.watcher = watcher

    async def new_student(self) -> Student:
        """Return a student who has never ordered, logged in."""
        student_id = str(next(self._numbers))
        await enrol(self.database, [student_id])
        student = Student(
            student_id,
            http=self.http,
            urls=self._urls,
            history=self.history,
            chance=random.Random(student_id),  # noqa: S311 - repeatable on purpose
            began_at=self.began_at,
        )
        await student.log_in(PASSWORD)
        return student

    @asynccontextmanager
    async def followed(self, student: Student) -> AsyncIterator[None]:
        """Keep one device of the student connected to the event stream while the block runs."""
        async with running(student.follow(client=next(self._clients))):
            yield

    async def other_students(self, count: int) -> list[Student]:
        """Return other students, who are not watched: the same in every scenario."""
        while len(self._other_students) < count:
            self._other_students.append(await self.new_student())
        return self._other_students[:count]

    @asynccontextmanager
    async def receiving_held(self) -> AsyncIterator[None]:
        """Hold a table lock while the block runs: no gateway can store a new order, its commit waits."""
        async with connected(self._servers.postgres_admin_url) as connection, connection.transaction():
            await connection.execute("LOCK TABLE gateway.idempotency_keys IN SHARE MODE")
            yield

    async def is_receiving_held(self) -> bool:
        """Return whether a commit waits for the lock."""
        return bool(await self.database.fetchval(_IS_HELD))

    async def open_streams(self) -> int:
        """Return the number of open streams, from notification's metrics."""
        return await self._gauge(NOTIFICATION, "cafeteria_event_streams")

    async def orders_being_received(self) -> int:
        """Return how many orders wait to be stored, from the gateway's metrics; 0 while it is down."""
        with suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
            return await self._gauge(GATEWAY, 'cafeteria_group_pending{group="gateway-receive"}')
        return 0

    async def _gauge(self, service: str, wanted: str) -> int:
        """Return the value of the metric with this name, and labels if it has any; 0 if there is none."""
        async with self.http.get(f"{self.killables[service].url}/metrics") as response:
            for line in (await response.text()).splitlines():
                name, _, value = line.rpartition(" ")
                if wanted in {name, name.partition("{")[0]}:
                    return int(float(value))
        return 0

    @property
    def _urls(self) -> Urls:
        return Urls(
            identity=self._identity_url,
            gateways=(self.killables[GATEWAY].url,),
            notifications=(self.killables[NOTIFICATION].url,),
        )
