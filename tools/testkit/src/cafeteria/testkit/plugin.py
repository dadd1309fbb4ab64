"""A pytest plugin for integration tests: real servers, empty tables, real HTTP, real tokens.

Servers start once per session, and the plugin imports a service only when a test requests it, so it costs unit
tests nothing. Fixtures: `servers`, `clean`, `service_settings`, `serve`, `tokens`,
`fork_server`, `wait_until`.
"""

# ruff: noqa: PLC0415 - fixtures import lazily, so that unit tests do not wait for the imports

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from cafeteria.local_stack.polling import until

if TYPE_CHECKING:  # these imports take a second, which unit tests do not need
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
    """Real Postgres and NATS with roles, users, migrated schemas and streams."""
    from cafeteria.local_stack.data_directory import temporary_data_directory
    from cafeteria.local_stack.launch import allow_descriptors
    from cafeteria.testkit.array_types import built_in_types_cached
    from cafeteria.testkit.servers import FixtureServers

    allow_descriptors()
    with temporary_data_directory() as home, built_in_types_cached():
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
    """Load settings as a process does: `service_settings(service, settings_type, **overrides)`.

    Overrides in capitals are environment variables, the others are fields of the settings.
    """
    return servers.settings


@pytest.fixture
def serve() -> "Callable[[ServiceApp], AbstractAsyncContextManager[str]]":
    """Serve an app on real HTTP in the test's own loop; the context's value is the base URL."""
    from cafeteria.chassis.process import serving

    return lambda app: in_own_task(serving(app))


@pytest.fixture
def tokens(servers: "FixtureServers") -> "Tokens":
    """Access tokens that the services under test accept."""
    from cafeteria.testkit.tokens import Tokens

    return Tokens(servers.credentials.signing_key_file)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fork_server() -> "AsyncIterator[ForkServer]":
    """A fork server for a stack's plan: it imports the services once for all tests."""
    from cafeteria.local_stack.fork_server import ForkServer

    async with ForkServer() as running:
        yield running


@pytest.fixture
def wait_until() -> Callable[..., Awaitable[Any]]:
    """Wait for a sync or async condition and return its first true value; see `until`."""
    return until


@contextlib.asynccontextmanager
async def in_own_task(context: AbstractAsyncContextManager[str]) -> AsyncIterator[str]:
    """Enter and exit `context` in one task: an app's lifespan needs that, but fixtures end in another task."""
    entered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    exit_requested = asyncio.Event()

    async def hold() -> None:
        async with context as value:
            entered.set_result(value)
            await exit_requested.wait()

    holder = asyncio.create_task(hold())
    await asyncio.wait((entered, holder), return_when=asyncio.FIRST_COMPLETED)
    try:
        if entered.done():
            yield entered.result()
    finally:
        exit_requested.set()
        await holder  # raises the error of an app that did not start


async def has_read_all(client: "Client", durable: "Durable") -> bool:
    """Whether the durable's owner has acknowledged the last message of its subject. `client` is the administrator's.

    It compares sequences, because the server counts a message as pending only a moment after it has stored it.
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
    """Return the number of messages that the durable's owner has not acknowledged."""
    from cafeteria.chassis.messaging.jetstream_api import JetStreamApi

    return (await JetStreamApi(client).consumer(durable.stream, durable.name)).unread


def outbox_row(message: "OutboxMessage") -> "OutboxRow":
    """Return the message as a relay reads it from the outbox, with a new message id, without a database."""
    from cafeteria.chassis.messaging.outbox import OutboxRow
    from cafeteria.chassis.runtime.ids import new_id

    return OutboxRow(0, message.subject, new_id(), message.body)
