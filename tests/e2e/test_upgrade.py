"""The data of an earlier version, killed in the middle of its work, starts under this one: nothing is lost.

A folder `data/version-…` is a recording of such data, which `data/record_version.py` makes. The test builds the
version's data folder out of it, moves all its times so that the kill was two minutes ago, and starts it.
"""

import random
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
import pytest

from cafeteria.contracts.gateway import OrderLine
from cafeteria.contracts.subjects import DURABLES
from cafeteria.faultkit.bus_admin import BusAdmin
from cafeteria.faultkit.history import CREATED, OK, Exchange, History, Intent
from cafeteria.faultkit.invariants import check
from cafeteria.faultkit.snapshot import read_snapshot
from cafeteria.faultkit.student import Student, Urls
from cafeteria.local_stack.data_directory import DataDirectory, temporary_data_directory
from cafeteria.local_stack.fork_server import ForkServer
from cafeteria.local_stack.ownership import MARKER
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.servers import NATS, Servers
from cafeteria.local_stack.stack import Stack
from cafeteria.provisioning.administrator import connect
from cafeteria.provisioning.bus_permissions import STREAMS_ACCOUNT
from cafeteria.provisioning.credentials import ADMIN
from cafeteria.testkit.plugin import until

VERSIONS = sorted(Path(__file__).parent.glob("data/version-*"))
PASSWORD = "iftar-rush-2026"
LEFT = (
    "gateway.outbox",
    "kitchen.outbox",
    "gateway.dead_letters",
    "kitchen.dead_letters",
    "notification.dead_letters",
)
"""Tables with rows in every recording."""
DEAD_LETTERS_AFTER = 3
"""The dead letters of a service have the same body, which version 0.1 kept each time, and later ones keep once."""
_DEAD_LETTERS = """
SELECT (SELECT count(*) FROM gateway.dead_letters) + (SELECT count(*) FROM kitchen.dead_letters)
     + (SELECT count(*) FROM notification.dead_letters)"""
TRADED = {"live": 200, "used": 401}
STATUSES = {"PENDING", "REJECTED", "STOCK_VERIFIED", "IN_KITCHEN", "READY", "COLLECTED", "CANCELLED"}
AWAY = timedelta(minutes=2)
"""Longer than an order may wait for its first decision, and than the recorded kitchen cooks."""
SETTLE_S = 60.0
QUICK = {"kitchen": {"KITCHEN_PREP_MIN_S": "0.2", "KITCHEN_PREP_MAX_S": "0.4"}}
ENDS = {
    "collected": "COLLECTED",
    "ready": "READY",
    "collected-unsent": "COLLECTED",
    "cooking": "READY",
    "queued": "READY",
    "cancelled": "CANCELLED",
    "cancelled-unreleased": "CANCELLED",
    "unread": "READY",
    "unsent": "READY",
    "decided": "READY",
    "undecided": "REJECTED",
}
"""By the recorded order's key; of two orders for the last portion the answer says which one got it."""


class Order(msgspec.Struct):
    """A recorded request and its answer."""

    student_id: str
    item_id: UUID
    quantity: int
    order_id: UUID
    status: int
    body: str
    cancelled: bool = False

    def exchanges(self, key: str) -> list[Exchange]:
        placed = Exchange(
            intent=Intent.ORDER,
            student_id=self.student_id,
            sent_at_s=0.0,
            ended_at_s=0.0,
            order_id=self.order_id,
            key=key,
            status=self.status,
            body=self.body.encode(),
            lines=self.lines,
        )
        cancel = msgspec.structs.replace(placed, intent=Intent.CANCEL, key=None, status=OK, lines=())
        return [placed, cancel] if self.cancelled else [placed]

    @property
    def lines(self) -> tuple[OrderLine, ...]:
        return (OrderLine(item_id=self.item_id, quantity=self.quantity),)


class Message(msgspec.Struct):
    subject: str
    headers: dict[str, str]
    body: str


class RecordedStream(msgspec.Struct):
    config: dict[str, Any]
    durables: list[dict[str, Any]]
    messages: list[Message]


class Recorded(msgspec.Struct):
    """`data/version-…/recorded.json`, and the database beside it."""

    killed_at: datetime
    streams: dict[str, RecordedStream]
    orders: dict[str, Order]
    refresh_tokens: dict[str, dict[str, str]]
    database: str = ""

    @classmethod
    def read(cls, folder: Path) -> "Recorded":
        """With all times moved: only so do orders, tokens and messages have the age that they had at the kill."""
        text = (folder / "recorded.json").read_text()
        killed_at = msgspec.json.decode(text, type=cls).killed_at
        by = datetime.now(UTC) - AWAY - killed_at
        recorded = msgspec.json.decode(moved(text, by), type=cls)
        return msgspec.structs.replace(recorded, database=moved((folder / "database.sql").read_text(), by))

    def end_of(self, key: str) -> str:
        return ENDS.get(key) or ("READY" if self.orders[key].status == CREATED else "REJECTED")


def moved(text: str, by: timedelta) -> str:
    """The text with all its times moved by whole seconds, each written as it was."""

    def later(found: re.Match[str]) -> str:
        at = datetime.fromisoformat(found[0]) + by
        return at.strftime(f"%Y-%m-%d{found[1]}%H:%M:%S")

    return re.sub(r"\d{4}-\d\d-\d\d([ T])\d\d:\d\d:\d\d", later, text)


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
async def test_a_data_folder_of_an_earlier_version_starts_and_nothing_is_lost(
    folder: Path, fork_server: ForkServer
) -> None:
    recorded = Recorded.read(folder)
    async with running(recorded, fork_server) as upgraded:
        await upgraded.until_promise_holds()
        await upgraded.until_all_is_read()
        expected = {order.order_id: recorded.end_of(key) for key, order in recorded.orders.items()}
        assert await upgraded.statuses() == expected
        upgraded.require_no_abandoned_store()
        await upgraded.require_sessions()
        students = await upgraded.students()
        await upgraded.require_same_answers(students)
        await upgraded.require_new_order(students)
        await upgraded.until_promise_holds()


class Upgraded:
    """The recorded data under this version, and what students sent to either."""

    def __init__(
        self, recorded: Recorded, stack: Stack, http: aiohttp.ClientSession, database: asyncpg.Connection
    ) -> None:
        self.recorded, self.stack, self.http, self.database = recorded, stack, http, database
        self.history = History()
        for key, order in recorded.orders.items():
            self.history.exchanges += order.exchanges(key)

    async def statuses(self) -> dict[UUID, str]:
        rows = await self.database.fetch("SELECT id, status FROM gateway.orders")
        return {row["id"]: row["status"] for row in rows}

    async def until_promise_holds(self) -> None:
        """Fails with the sentences of the invariants that do not hold."""
        violations: list[str] = []

        async def holds() -> bool:
            found = check(await read_snapshot(self.database), self.history)
            violations[:] = [f"{name}: {each}" for name, sentences in found.items() for each in sentences]
            return not violations

        with suppress(TimeoutError):
            await until(holds, timeout_s=SETTLE_S)
        assert not violations, "\n".join(violations)
        assert await self.database.fetchval(_DEAD_LETTERS) == DEAD_LETTERS_AFTER

    async def until_all_is_read(self) -> None:
        async with BusAdmin(self.stack.servers.nats_admin_url) as admin:

            async def is_read() -> bool:
                return not [each for each in DURABLES if await admin.unread(each.stream, each.name)]

            await until(is_read)

    def require_no_abandoned_store(self) -> None:
        """Streams that no account of the bus reads would occupy the disk for ever."""
        stores = (self.stack.home.nats / "store" / "jetstream").iterdir()
        assert {store.name for store in stores} == {STREAMS_ACCOUNT}

    async def require_sessions(self) -> None:
        """A token that was good is traded for new ones; a used one stays used, and ends its session as ever."""
        for tokens in self.recorded.refresh_tokens.values():
            for state in sorted(tokens):
                url = f"{self.stack.url('identity')}/v1/token/refresh"
                async with self.http.post(url, json={"refresh_token": tokens[state]}) as answer:
                    assert answer.status == TRADED[state], await answer.text()

    async def students(self) -> dict[str, Student]:
        """Signed in with the passwords that they had."""
        found = {}
        for student_id in {order.student_id for order in self.recorded.orders.values()}:
            student = Student(
                student_id,
                http=self.http,
                urls=Urls(
                    identity=self.stack.url("identity"),
                    gateways=(self.stack.url("gateway"),),
                    notifications=(self.stack.url("notification"),),
                ),
                history=self.history,
                chance=random.Random(student_id),  # noqa: S311 - repeatable on purpose
                began_at=monotonic(),
            )
            await student.log_in(PASSWORD)
            found[student_id] = student
        return found

    async def require_same_answers(self, students: dict[str, Student]) -> None:
        """Under its old key a verified order gets its old answer again, byte for byte."""
        for key, order in self.recorded.orders.items():
            answer = await students[order.student_id].order(order.lines, key=key)
            if order.status == CREATED:
                assert (answer.status, answer.body.decode()) == (CREATED, order.body)
        assert len(await self.statuses()) == len(self.recorded.orders)

    async def require_new_order(self, students: dict[str, Student]) -> None:
        before = self.recorded.orders["ready"]
        answer = await students[before.student_id].order(before.lines, key="after-the-upgrade")
        assert answer.status == CREATED
        assert len(await self.statuses()) == len(self.recorded.orders) + 1


@asynccontextmanager
async def running(recorded: Recorded, fork_server: ForkServer) -> AsyncIterator[Upgraded]:
    with temporary_data_directory() as home:
        await restore(recorded, home)
        plan = Plan(service_environments=QUICK, fork_server=fork_server)
        async with Stack(home, plan) as stack, aiohttp.ClientSession() as http:
            database = await connect(stack.servers.postgres_admin_url)
            try:
                yield Upgraded(recorded, stack, http, database)
            finally:
                await database.close()


async def restore(recorded: Recorded, home: DataDirectory) -> None:
    """Fill the data directory as the recorded version had it."""
    servers = Servers(home, Plan(), keep=False)
    await servers.start()
    try:
        await restore_database(recorded, servers)
        await restore_streams(recorded, servers, home)
    finally:
        await servers.stop(grace_s=5)
    for marker in home.root.rglob(MARKER):  # the first version wrote none, and later ones write them again
        marker.unlink()


async def restore_database(recorded: Recorded, servers: Servers) -> None:
    connection = await connect(servers.postgres_admin_url, database="postgres")
    await connection.execute("CREATE DATABASE cafeteria TEMPLATE template0")
    await connection.close()
    connection = await connect(servers.postgres_admin_url)
    await connection.execute(recorded.database)
    statuses = {row[0] for row in await connection.fetch("SELECT status FROM gateway.orders")}
    assert statuses == STATUSES
    for table in LEFT:
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") > 0, table  # noqa: S608 - named above
    await connection.close()


async def restore_streams(recorded: Recorded, servers: Servers, home: DataDirectory) -> None:
    """In the server's own account, where the first version's were. Nothing of them is read yet."""
    nats = servers.members[NATS]
    await nats.stop()
    shutil.rmtree(home.nats / "store")
    (home.nats / "nats.conf").write_text(first_nats_conf(servers, home))
    await nats.start()
    async with BusAdmin(servers.nats_admin_url) as admin:
        for name, stream in recorded.streams.items():
            await admin.ask(f"STREAM.CREATE.{name}", stream.config)
            for durable in stream.durables:
                request = {"stream_name": name, "config": durable}
                await admin.ask(f"CONSUMER.DURABLE.CREATE.{name}.{durable['durable_name']}", request)
            for message in stream.messages:
                await admin.publish(message.subject, message.body.encode(), message.headers)
            await until(partial(is_complete, admin, name, len(stream.messages)))


async def is_complete(admin: BusAdmin, name: str, count: int) -> bool:
    return (await admin.stream(name))["messages"] == count > 0


def first_nats_conf(servers: Servers, home: DataDirectory) -> str:
    """Without accounts, as the first version's was."""
    address, monitor = urlsplit(servers.nats_admin_url), urlsplit(servers.monitor_url or "")
    return f"""
        server_name: cafeteria
        host: {address.hostname}
        port: {address.port}
        http: "{monitor.netloc}"
        jetstream {{ store_dir: "{home.nats / "store"}", sync_interval: always }}
        authorization {{ users: [{{user: {ADMIN}, password: "{address.password}"}}] }}
    """
