"""Fixtures with real servers, used as the gateway's user and role, which has an outbox, dead letters and a durable.

`start` runs the probe service as a process.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from cafeteria.chassis.database import pool
from cafeteria.chassis.database.database import (
    Database,
    schema_base,
)
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.database.statement import Statement
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.messaging.dead_letters import DeadLetters, dead_letters_table
from cafeteria.chassis.messaging.outbox import Outbox, OutboxMessage, OutboxRow, outbox_message, outbox_table
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts import subjects as names
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.values import OrderStatus
from cafeteria.testkit.plugin import has_read_all, outbox_row
from cafeteria.testkit.servers import FixtureServers

PROBE = Path(__file__).with_name("probe_service.py")
TEMPLATE = PROBE.with_name("probe_template.py")
START_LIMIT_S = 30.0
SECRETS = {"CAFETERIA_POSTGRES_PASSWORD": "pg-hidden", "CAFETERIA_NATS_PASSWORD": "nats-hidden"}
ENVIRON = {
    **{name: value for name, value in os.environ.items() if not name.startswith("CAFETERIA_")},
    **SECRETS,
    "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:1/cafeteria",
    "CAFETERIA_NATS_URL": "nats://127.0.0.1:1",
    "CAFETERIA_PORT": "0",
}
GATEWAY_SCHEMA = schema_base(names.GATEWAY)
_ADD = Statement(
    """INSERT INTO gateway.dead_letters (id, stream, sequence, stored_at, item, subject, body, body_digest, error)
       SELECT id, 's', 1, clock_timestamp(), 0, 'x', '', uuid_send(id), '' FROM (SELECT CAST(:id AS uuid) AS id) AS new"""
)


@pytest.fixture
async def gateway_settings(clean: None, service_settings: Callable[..., Any]) -> ServiceSettings:
    return service_settings(names.GATEWAY, ServiceSettings)


@pytest.fixture
async def database(gateway_settings: ServiceSettings) -> AsyncIterator[Database]:
    database = Database.connect(gateway_settings, service=names.GATEWAY)
    yield database
    await database.close()


@pytest.fixture
async def bus(gateway_settings: ServiceSettings) -> AsyncIterator[Bus]:
    async with Bus(gateway_settings, service=names.GATEWAY) as bus:
        await bus.connected()
        yield bus


@pytest.fixture
async def kitchen_bus(service_settings: Callable[..., Any], clean: None) -> AsyncIterator[Bus]:
    settings = service_settings(names.KITCHEN, ServiceSettings)
    async with Bus(settings, service=names.KITCHEN) as bus:
        await bus.connected()
        yield bus


@pytest.fixture
async def projection_is_acknowledged(
    servers: FixtureServers, clean: None
) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Return whether the gateway's consumer has acknowledged every message that is stored for it.

    The count of unread messages would not do: the server counts a message only a moment after it confirmed storing it.
    """
    async with servers.bus_as("admin") as admin:
        yield lambda: has_read_all(admin, names.GATEWAY_PROJECTION)


@pytest.fixture(scope="session")
def outbox() -> Outbox:
    return Outbox(outbox_table(GATEWAY_SCHEMA, key="order_id"))


@pytest.fixture
def dead_letters(database: Database) -> DeadLetters:
    table = GATEWAY_SCHEMA.metadata.tables.get("gateway.dead_letters")
    return DeadLetters(database, dead_letters_table(GATEWAY_SCHEMA) if table is None else table)


@pytest.fixture
def status_message() -> Callable[..., OutboxMessage]:
    """Make a status event of a new order, from the gateway or the kitchen."""

    def make(topic: Any = names.GATEWAY_STATUS) -> OutboxMessage:
        order_id = new_id()
        event = OrderStatusChanged(
            order_id=order_id,
            student_id="210041101",
            status=OrderStatus.READY,
            version=4,
            at=datetime.now(UTC),
        )
        return outbox_message(topic, event, key=order_id, version=4)

    return make


@pytest.fixture
def stored_status(status_message: Callable[..., OutboxMessage]) -> Callable[..., OutboxRow]:
    """Make an outbox row with a status event, as the relay reads it."""
    return lambda topic=names.GATEWAY_STATUS: outbox_row(status_message(topic))


async def add(database: Database) -> None:
    """Insert one row with a single statement."""
    async with database.statement() as connection:
        await _ADD.rows(connection, {"id": uuid4()})


async def add_in_transaction(database: Database) -> None:
    async with database.transaction() as connection:
        await _ADD.rows(connection, {"id": uuid4()})


async def add_by_sqlalchemy(database: Database) -> None:
    new_id = uuid4()
    row = {"id": new_id, "stream": "s", "sequence": 1, "item": 0, "subject": "x", "body": b"", "error": ""}
    row["body_digest"] = new_id.bytes
    table = sa.table("dead_letters", *map(sa.column, [*row, "stored_at"]), schema="gateway")
    async with database.transaction() as connection:
        await connection.execute(sa.insert(table).values(**row, stored_at=sa.func.clock_timestamp()))


@pytest.fixture(params=[add, add_in_transaction, add_by_sqlalchemy])
def write(request: pytest.FixtureRequest) -> Callable[[Database], Awaitable[None]]:
    """Each of the ways in which a service changes rows."""
    return request.param


@pytest.fixture
async def four_connections(gateway_settings: ServiceSettings) -> AsyncIterator[Database]:
    """A pool of four connections, all of them open."""
    database = Database.connect(gateway_settings, service=names.GATEWAY, pool_size=4)
    async with database.statement(), database.statement(), database.statement(), database.statement():
        pass
    yield database
    await database.close()


@pytest.fixture
def no_connection_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool replaces outdated connections of any age: a test is shorter than FRESH_S."""
    monkeypatch.setattr(pool, "FRESH_S", 0)


@pytest.fixture(scope="session")
def detail_of() -> Callable[[Awaitable[Any]], Awaitable[str | None]]:
    """Await the work; return the detail of DatabaseUnavailable, or None if the work succeeds."""

    async def detail_of(work: Awaitable[Any]) -> str | None:
        try:
            await work
        except DatabaseUnavailable as error:
            return error.detail
        return None

    return detail_of


class Fork:
    """A forked probe process, with as much of the interface of `Popen` as the tests use."""

    def __init__(self, template: subprocess.Popen[str], log_path: Path, environ: dict[str, str]) -> None:
        self._exit_code = log_path.with_suffix(".exit")
        assert template.stdin is not None
        assert template.stdout is not None
        order = {"environ": json.dumps(environ), "log": str(log_path), "exit_code": str(self._exit_code)}
        template.stdin.write(json.dumps(order) + "\n")
        template.stdin.flush()
        self._pid = int(template.stdout.readline())

    def poll(self) -> int | None:
        text = self._exit_code.read_text() if self._exit_code.exists() else ""
        return int(text) if text else None

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def wait(self, timeout: float = 10.0) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            assert time.monotonic() < deadline, f"{self._pid} does not end"
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # as Popen does: the process has ended
            if self.poll() is None:
                os.kill(self._pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Process:
    """A running probe service, with its log lines and its address."""

    def __init__(
        self, log_path: Path, environ: dict[str, str], template: subprocess.Popen[str] | None = None
    ) -> None:
        self._log_path = log_path
        with log_path.open("wb") as log:
            self.child = (
                subprocess.Popen([sys.executable, str(PROBE)], stdout=log, stderr=log, env=environ)
                if template is None
                else Fork(template, log_path, environ)
            )

    @property
    def output(self) -> str:
        return self._log_path.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while text not in self.output:
            assert self.child.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.01)

    def url(self) -> str:
        self.wait_for("service_started")
        return next(line["url"] for line in self.lines if line["event"] == "service_started")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send the signal; return the seconds until the process ended."""
        started = time.monotonic()
        self.child.send_signal(number)
        self.child.wait(timeout=10)
        return time.monotonic() - started


@pytest.fixture(scope="module")
def template() -> Iterator[subprocess.Popen[str]]:
    """A process that has loaded the probe service: loading takes two seconds of CPU, a fork hundredths."""
    command = [sys.executable, str(TEMPLATE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as template:
        yield template


@pytest.fixture
def start(tmp_path: Path, template: subprocess.Popen[str]) -> Iterator[Callable[..., Process]]:
    """Start the probe with these variables; `freshly_loaded` for variables that its imports may read."""
    started: list[Process] = []

    def start(*, freshly_loaded: bool = sys.platform != "linux", **environ: str) -> Process:
        log_path = tmp_path / f"{len(started)}.log"
        process = Process(log_path, {**ENVIRON, **environ}, None if freshly_loaded else template)
        started.append(process)
        return process

    yield start
    for process in started:
        process.child.kill()
        process.child.wait()
