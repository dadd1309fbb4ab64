"""The pytest plugin behind integration tests: real servers, empty tables, real HTTP, real tokens.

Servers start once per session and nothing of a service is imported before a test asks for it, so unit
tests pay nothing for this plugin. Fixtures: `servers`, `clean`, `service_settings`, `serve`, `tokens`,
`fork_server`, `wait_until`.
"""

# ruff: noqa: PLC0415 - what a fixture needs is imported when a test asks for it, or unit tests would wait for it

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from cafeteria.local_stack.polling import until

if TYPE_CHECKING:  # importing these takes a second, which a run of unit tests alone need not pay
    from nats.aio.client import Client

    from cafeteria.chassis.app import ServiceApp
    from cafeteria.chassis.messaging.nats_client import BusClient
    from cafeteria.chassis.messaging.outbox import OutboxMessage, OutboxRow
    from cafeteria.contracts.channels import Durable
    from cafeteria.local_stack.fork_server import ForkServer
    from cafeteria.testkit.servers import FixtureServers
    from cafeteria.testkit.tokens import Tokens

__all__ = ["has_read_all", "in_own_task", "outbox_row", "unread", "until"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers() -> "AsyncIterator[FixtureServers]":
    """Real Postgres and NATS, roles and users made, schemas migrated, streams there."""
    from cafeteria.local_stack.data_directory import temporary_data_directory
    from cafeteria.local_stack.launch import allow_descriptors
    from cafeteria.testkit.array_types import built_in_types_remembered
    from cafeteria.testkit.servers import FixtureServers

    allow_descriptors()
    with temporary_data_directory() as home, built_in_types_remembered():
        running = FixtureServers(home)
        try:
            await running.start()
            yield running
        finally:
            await running.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def clean(servers: "FixtureServers") -> None:
    """Every table as its migration left it, every stream empty, both servers up."""
    await servers.clean()


@pytest.fixture
def service_settings(servers: "FixtureServers") -> "Callable[..., Any]":
    """Settings as the process would load them; called with service, settings type and overrides.

    Overrides in capitals are environment variables, the others are fields of the settings.
    """
    return servers.settings


@pytest.fixture
def serve() -> "Callable[[ServiceApp], AbstractAsyncContextManager[str]]":
    """A real HTTP server in the test's own loop; what it returns is entered, and gives the base URL."""
    from cafeteria.chassis.process import serving

    return lambda app: in_own_task(serving(app))


@pytest.fixture
def tokens(servers: "FixtureServers") -> "Tokens":
    """Access tokens that the services under test accept."""
    from cafeteria.testkit.tokens import Tokens

    return Tokens(servers.credentials.signing_key_file)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fork_server() -> "AsyncIterator[ForkServer]":
    """For a stack's plan: its services are forks of a process that has loaded them once for all tests."""
    from cafeteria.local_stack.fork_server import ForkServer

    async with ForkServer() as running:
        yield running


@pytest.fixture
def wait_until() -> Callable[..., Awaitable[Any]]:
    """Wait for a condition, sync or async, and return its first true value; see `until`."""
    return until


@contextlib.asynccontextmanager
async def in_own_task(context: AbstractAsyncContextManager[str]) -> AsyncIterator[str]:
    """A fixture ends in another task than it began in, which an app's lifespan does not bear."""
    entered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()

    async def live() -> None:
        async with context as value:
            entered.set_result(value)
            await leave.wait()

    living = asyncio.create_task(live())
    await asyncio.wait((entered, living), return_when=asyncio.FIRST_COMPLETED)
    try:
        if entered.done():
            yield entered.result()
    finally:
        leave.set()
        await living  # raises what has kept the app from starting


async def has_read_all(client: "Client", durable: "Durable") -> bool:
    """Its owner has acknowledged the last message of its subject. `client` is the administrator's.

    Positions are compared, for the server counts a message as waiting only a moment after it has stored it.
    """
    from nats.js.errors import NotFoundError

    jetstream = client.jetstream()
    try:
        last = await jetstream.get_last_msg(durable.stream, durable.filter_subject)
    except NotFoundError:
        return True
    floor = (await jetstream.consumer_info(durable.stream, durable.name)).ack_floor
    return floor is not None and floor.stream_seq >= (last.seq or 0)


async def unread(client: "BusClient", durable: "Durable") -> int:
    """Messages that its owner has not acknowledged yet."""
    from cafeteria.chassis.messaging.jetstream_api import JetStreamApi

    return (await JetStreamApi(client).consumer(durable.stream, durable.name)).unread


def outbox_row(message: "OutboxMessage") -> "OutboxRow":
    """As a relay reads it, under a new message id, without a database."""
    from cafeteria.chassis.messaging.outbox import OutboxRow
    from cafeteria.chassis.runtime.ids import new_id

    return OutboxRow(0, message.subject, new_id(), message.body)
