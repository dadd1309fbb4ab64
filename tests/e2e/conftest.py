"""One stack, as `just up` starts it, serves all tests of this folder.

Gateway, stock and notification have two replicas each. A test uses students and items of its own, and leaves every
process running. After each test the promise is checked for everything that all tests did so far.
"""

import asyncio
import itertools
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import monotonic
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
import psutil
import pytest

from cafeteria.contracts.gateway import Menu, Order, OrderLine
from cafeteria.contracts.stock import CreateItem, Item
from cafeteria.faultkit.history import History
from cafeteria.faultkit.invariants import check
from cafeteria.faultkit.proxy import Proxy
from cafeteria.faultkit.snapshot import Snapshot, read_snapshot
from cafeteria.faultkit.student import Student, Urls
from cafeteria.faultkit.tcp_proxy import HOST
from cafeteria.local_stack import ports
from cafeteria.local_stack.data_directory import temporary_data_directory
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.plan import Plan, service_of
from cafeteria.local_stack.stack import Stack
from cafeteria.testkit.plugin import until

PASSWORD = "iftar-rush-2026"
REPLICAS = {"gateway": 2, "stock": 2, "notification": 2}
ENVIRONMENT = {"kitchen": {"KITCHEN_PREP_MIN_S": "0.2", "KITCHEN_PREP_MAX_S": "0.4"}}
PROXIED = "gateway-2"
SETTLE_S = 60.0
"""How long the last order may take to end after a test has healed its faults."""


class RunningStack:
    """The processes of one stack, its students and items, and the history of what the students saw."""

    def __init__(self, processes: Stack, http: aiohttp.ClientSession, network: Mapping[str, Proxy]) -> None:
        self.processes = processes
        self.http = http
        self.network = network
        """Between the gateway's second replica and `postgres` or `nats`."""
        self.history = History()
        self.began_at = monotonic()
        self._student_ids = (str(number) for number in itertools.count(210041101))
        self._names = (f"Dish {number}" for number in itertools.count(1))
        self._following: list[asyncio.Task[None]] = []
        self._accounts: dict[str, Student] = {}

    @property
    def urls(self) -> Urls:
        return Urls(
            identity=self.processes.url("identity"),
            gateways=tuple(self._urls_of("gateway")),
            notifications=tuple(self._urls_of("notification")),
        )

    def replicas(self, service: str) -> list[str]:
        """The names of its replicas in the stack."""
        return [name for name in self.processes.names if service_of(name) == service]

    def signal(self, service: str, number: signal.Signals) -> None:
        """Send a signal to all replicas of a service."""
        for name in self.replicas(service):
            self.processes.kill(name, number)

    async def kill_until_the_bus_has_noticed(self, member: str) -> None:
        """Kill one replica. Until NATS sees its connections closed, it still sends requests to it."""
        sockets = psutil.Process(self.processes.pid(member)).net_connections()
        ports_there = {each.laddr.port for each in sockets if each.raddr}
        self.processes.kill(member)

        async def has_noticed() -> bool:
            async with self.http.get(f"{self.processes.servers.monitor_url}/connz") as answer:
                connections = (await answer.json())["connections"]
            return ports_there.isdisjoint(each["port"] for each in connections)

        await until(has_noticed)

    def _urls_of(self, service: str) -> list[str]:
        return [self.processes.url(name) for name in self.replicas(service)]

    async def student(self, *, gateway: int | None = None) -> Student:
        """A student that no other test uses, logged in. With `gateway`, one that uses only that replica."""
        urls = self.urls
        if gateway is not None:
            urls = msgspec.structs.replace(urls, gateways=(urls.gateways[gateway],))
        student = self._new_client(next(self._student_ids), urls)
        await student.log_in(PASSWORD)
        return student

    async def account(self, name: str) -> Student:
        """The demo's operator or cook; logged in once, for logins are limited."""
        if name not in self._accounts:
            account = self._new_client(name, self.urls)
            await account.log_in(PASSWORD)
            self._accounts[name] = account
        return self._accounts[name]

    async def dish(self, quantity: int, *, price: str = "3.50") -> UUID:
        """A new item with so many portions, on both gateways' menus."""
        operator = await self.account("operator-1")
        body = msgspec.json.encode(CreateItem(name=next(self._names), price=price, quantity=quantity))
        async with self.http.post(
            f"{self.processes.url('stock')}/v1/items",
            data=body,
            headers={"Content-Type": "application/json", **operator.authorization},
        ) as response:
            assert response.status == 201, await response.text()
            item = msgspec.json.decode(await response.read(), type=Item)
        await self.until_all_menus_show(item.id, quantity)
        return item.id

    async def until_all_menus_show(self, item_id: UUID, available: int | None) -> None:
        async def all_show_it() -> bool:
            shown = [await self.available(url, item_id) for url in self.urls.gateways]
            return set(shown) == {available}

        await until(all_show_it)

    async def available(self, gateway_url: str, item_id: UUID) -> int | None:
        async with self.http.get(f"{gateway_url}/v1/menu") as response:
            menu = msgspec.json.decode(await response.read(), type=Menu)
        return next((item.available for item in menu.items if item.item_id == item_id), None)

    def follow(self, student: Student, **how: Any) -> None:
        """Keep an event stream of the student open for as long as the stack runs."""
        self._following.append(asyncio.create_task(student.follow(client=len(self._following), **how)))

    async def until_seen(self, student: Student, *order_ids: UUID, versions: list[int]) -> None:
        """The student's streams showed exactly these versions of each of the orders, in this order."""
        await until(
            lambda: all(self.versions_seen(student, order_id) == versions for order_id in order_ids),
            timeout_s=SETTLE_S,
        )

    def connections_of(self, student: Student) -> int:
        """How many connections have shown this student at least one status."""
        observed = (each for each in self.history.observed_statuses if each.student_id == student.student_id)
        return len({(each.client, each.connection) for each in observed})

    def versions_seen(self, student: Student, order_id: UUID) -> list[int]:
        return [
            observed.version
            for observed in self.history.observed_statuses
            if observed.student_id == student.student_id and observed.order_id == order_id
        ]

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection as superuser, for all schemas."""
        connection = await asyncpg.connect(self.processes.servers.targets().postgres_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def snapshot(self) -> Snapshot:
        async with self.database() as connection:
            return await read_snapshot(connection)

    async def until_status(self, order_id: UUID, *statuses: str, timeout_s: float = SETTLE_S) -> None:
        await self.until_all_are([order_id], *statuses, timeout_s=timeout_s)

    async def until_all_are(
        self, order_ids: Sequence[UUID], *statuses: str, timeout_s: float = SETTLE_S
    ) -> None:
        """All of these orders have one of the statuses. It polls over one connection: the services need the others."""
        async with self.database() as connection:
            await until(lambda: connection.fetchval(_ALL_ARE, order_ids, statuses), timeout_s=timeout_s)

    async def until_promise_holds(self) -> None:
        """Wait until the system is quiescent and every invariant holds; fail with what is violated."""
        violations: list[str] = []

        async def holds() -> bool:
            violations[:] = [
                f"{name}: {sentence}"
                for name, sentences in check(await self.snapshot(), self.history).items()
                for sentence in sentences
            ]
            return not violations

        with suppress(TimeoutError):
            await until(holds, timeout_s=SETTLE_S)
        assert not violations, "\n".join(violations[:20])

    async def close(self) -> None:
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    def _new_client(self, name: str, urls: Urls) -> Student:
        return Student(
            name,
            http=self.http,
            urls=urls,
            history=self.history,
            chance=random.Random(name),  # noqa: S311 - repeatable on purpose
            began_at=self.began_at,
        )


@pytest.fixture(scope="package")
async def shared_stack(fork_server: ForkServer) -> AsyncIterator[RunningStack]:
    async with AsyncExitStack() as running:
        home = running.enter_context(temporary_data_directory())
        port = ports.free_ports(2)
        chance = random.Random(1)  # noqa: S311 - no fault is drawn here
        network = {
            server: await running.enter_async_context(Proxy(host=HOST, port=port + n, chance=chance))
            for n, server in enumerate(("postgres", "nats"))
        }
        proxied = {
            "CAFETERIA_POSTGRES_URL": f"postgresql://{HOST}:{network['postgres'].port}/cafeteria",
            "CAFETERIA_NATS_URL": f"nats://{HOST}:{network['nats'].port}",
        }
        plan = Plan(
            postgres_port=port,
            nats_port=port + 1,
            replicas=REPLICAS,
            service_environments={**ENVIRONMENT, PROXIED: proxied},
            fork_server=fork_server,
        )
        processes = await running.enter_async_context(Stack(home, plan))
        connector = aiohttp.TCPConnector(limit=0)
        http = await running.enter_async_context(aiohttp.ClientSession(connector=connector))
        stack = RunningStack(processes, http, network)
        yield stack
        await stack.close()


@pytest.fixture
async def stack(shared_stack: RunningStack) -> AsyncIterator[RunningStack]:
    """The stack; the promise is checked once the test is over."""
    yield shared_stack
    await shared_stack.until_promise_holds()


@pytest.fixture
async def open_stack(fork_server: ForkServer) -> AsyncIterator[Callable[..., Awaitable[RunningStack]]]:
    """Start a stack of the test's own, with an environment for each service; the promise is checked at the end."""
    async with AsyncExitStack() as running:

        async def open_one(**environments: dict[str, str]) -> RunningStack:
            home = running.enter_context(temporary_data_directory())
            plan = Plan(service_environments=environments, fork_server=fork_server)
            processes = await running.enter_async_context(Stack(home, plan))
            connector = aiohttp.TCPConnector(limit=0)
            http = await running.enter_async_context(aiohttp.ClientSession(connector=connector))
            stack = RunningStack(processes, http, {})
            running.push_async_callback(stack.close)
            running.push_async_callback(stack.until_promise_holds)
            return stack

        yield open_one


_ALL_ARE = """
SELECT count(*) = cardinality($1::uuid[]) FROM gateway.orders WHERE id = ANY($1) AND status = ANY($2)"""


def portions(item_id: UUID, quantity: int = 1) -> tuple[OrderLine, ...]:
    return (OrderLine(item_id=item_id, quantity=quantity),)


@pytest.fixture(scope="session")
def lines_of() -> Any:
    """`lines_of(item_id, quantity=1)`: one line."""
    return portions


@pytest.fixture(scope="session")
def order_in() -> Any:
    """`order_in(exchange)`: the order in the body of an answer."""
    return lambda exchange: msgspec.json.decode(exchange.body, type=Order)
