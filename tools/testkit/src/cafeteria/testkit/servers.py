"""Real servers that integration tests share: started once and emptied between tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import asyncpg
import msgspec
import nats.errors
from nats.aio.msg import Msg

from cafeteria.chassis.database.migrations import MigrationsMissingError, migrate
from cafeteria.chassis.messaging.nats_client import BusClient
from cafeteria.chassis.runtime.settings import ServiceSettings, load_settings
from cafeteria.contracts import subjects
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.plan import Plan
from cafeteria.local_stack.servers import NATS, POSTGRES, Servers
from cafeteria.local_stack.supervised_process import STOP_GRACE_S, SupervisedProcess
from cafeteria.provisioning.administrator import connected
from cafeteria.provisioning.bus_permissions import inbox_prefix
from cafeteria.provisioning.credentials import Credentials
from cafeteria.provisioning.errors import StackError
from cafeteria.provisioning.roles import ensure_database, ensure_roles
from cafeteria.provisioning.streams import PING_TIMEOUT_S, BusAdmin, require_synchronous
from cafeteria.provisioning.targets import Targets
from cafeteria.testkit.database_reset import DatabaseReset

Settings = TypeVar("Settings", bound=ServiceSettings)

STREAM_MAX_BYTES = 256 << 20
LOG_LINES = 30


class FixtureServers:
    """Real Postgres and NATS with all roles, users, schemas and streams.

    A stand-in for identity answers requests for the keys that verify tokens, except within `without_identity`.
    """

    def __init__(self, home: DataDirectory) -> None:
        self.home = home
        self._servers = Servers(home, Plan(stream_max_bytes=STREAM_MAX_BYTES), keep=False)
        self._database_reset = DatabaseReset(self.postgres_admin_url)
        self._admin = BusAdmin(self.nats_admin_url, stream_max_bytes=STREAM_MAX_BYTES)
        self._identity = _IdentityStandIn(self)
        self.migrated: tuple[str, ...] = ()

    @property
    def credentials(self) -> Credentials:
        return self._servers.credentials

    @property
    def postgres(self) -> SupervisedProcess:
        """The server's process, for tests that stop, kill, freeze or start it."""
        return self._servers.members[POSTGRES]

    @property
    def nats(self) -> SupervisedProcess:
        """The server's process, for tests that stop, kill, freeze or start it."""
        return self._servers.members[NATS]

    @property
    def postgres_url(self) -> str:
        """The URL for services, without credentials."""
        return self._servers.postgres_url

    @property
    def postgres_admin_url(self) -> str:
        return self._servers.postgres_admin_url

    @property
    def nats_url(self) -> str:
        """The URL for services, without credentials."""
        return self._servers.nats_url

    @property
    def nats_admin_url(self) -> str:
        return self._servers.nats_admin_url

    @property
    def monitor_url(self) -> str:
        """The URL of NATS' monitoring."""
        return self._servers.monitor_url or ""

    async def start(self) -> None:
        await self._servers.start()
        await asyncio.gather(self._prepare_database(), self._prepare_bus())

    async def stop(self) -> None:
        await self._identity.stop()
        await self._admin.__aexit__(None, None, None)
        await self._database_reset.close()
        await self._servers.stop(grace_s=STOP_GRACE_S)
        self.home.remove()

    async def clean(self) -> None:
        """Reset every table to its migrated state, empty every stream and start stopped servers."""
        for member in (self.postgres, self.nats):
            if not member.is_running:
                await _start(member)
        await self._admin.connected()  # the session's loop does not run during tests without a loop
        await self._admin.ensure()
        await asyncio.gather(self._database_reset.clean(), self._admin.purge())

    async def wipe_nats(self) -> None:
        """Kill NATS, remove its store, start it again and restore the streams as the bootstrap does."""
        await self.lose_nats_store()
        await self._admin.ensure()

    async def lose_nats_store(self) -> None:
        """Kill NATS, remove its store and start it again, without its streams."""
        await self._servers.wipe_nats()

    def targets(self) -> Targets:
        """The bootstrap's view of these servers."""
        return self._servers.targets()

    async def ensure_bus(self) -> None:
        """Restore missing streams and durables as the bootstrap does."""
        await self._admin.ensure()

    @contextlib.asynccontextmanager
    async def without_identity(self) -> AsyncIterator[None]:
        """Within the context nothing answers requests for the keys that verify tokens."""
        await self._identity.stop()
        try:
            yield
        finally:
            await self._identity.start()

    @contextlib.asynccontextmanager
    async def bus_as(self, user: str) -> AsyncIterator[BusClient]:
        """A connection with the rights of a service's user, or of `admin`."""
        client = await connect_as(self, user)
        try:
            yield client
        finally:
            await client.close()

    def database_as(self, role: str) -> contextlib.AbstractAsyncContextManager[asyncpg.Connection]:
        """A connection with the rights of a service's role."""
        password = self.credentials.postgres_password(role)
        return connected(self.postgres_url, user=role, password=password)

    def database_as_admin(self) -> contextlib.AbstractAsyncContextManager[asyncpg.Connection]:
        return connected(self.postgres_admin_url)

    def environment(self, service: str) -> dict[str, str]:
        """Return the environment of a service's process; its port is any free one."""
        return {
            "CAFETERIA_PORT": "0",
            "CAFETERIA_POSTGRES_URL": self.postgres_url,
            "CAFETERIA_POSTGRES_PASSWORD_FILE": str(self.credentials.postgres_file(service)),
            "CAFETERIA_NATS_URL": self.nats_url,
            "CAFETERIA_NATS_PASSWORD_FILE": str(self.credentials.nats_file(service)),
            "IDENTITY_SIGNING_KEY_FILE": str(self.credentials.signing_key_file),
        }

    def settings(self, service: str, settings_type: type[Settings], **overrides: Any) -> Settings:
        """Load settings as the process does; overrides in capitals are variables, the others fields."""
        variables = {name: str(value) for name, value in overrides.items() if name.isupper()}
        fields = {name: value for name, value in overrides.items() if not name.isupper()}
        loaded = load_settings(settings_type, {**self.environment(service), **variables})
        return msgspec.structs.replace(loaded, **fields)

    async def _prepare_database(self) -> None:
        await ensure_database(self.postgres_admin_url)
        await ensure_roles(self.postgres_admin_url, password_of=self.credentials.postgres_password)
        migrated = []
        for service in subjects.SERVICES:
            with contextlib.suppress(MigrationsMissingError):
                await migrate(service, self.postgres_admin_url)
                migrated.append(service)
        self.migrated = tuple(migrated)
        await self._database_reset.save_migrated_rows()

    async def _prepare_bus(self) -> None:
        await require_synchronous(self.monitor_url)
        await self._admin.__aenter__()
        await self._admin.ensure()
        await self._identity.start()


async def _start(member: SupervisedProcess) -> None:
    """Start the server; an error contains the end of the log, which the session removes."""
    try:
        await member.start()
    except StackError as error:
        error.add_note("\n".join(member.log_file.read_text(errors="replace").splitlines()[-LOG_LINES:]))
        raise


async def connect_as(servers: FixtureServers, user: str) -> BusClient:
    client = BusClient(api_prefix=subjects.STREAMS_API) if user in subjects.SERVICES else BusClient()
    await client.connect(
        servers.nats_url,
        user=user,
        password=servers.credentials.nats_password(user),
        name=f"test-{user}",
        inbox_prefix=inbox_prefix(user).encode(),
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,  # type: ignore[arg-type]  # nats-py annotates int and accepts fractions of a second
        error_cb=_ignore,
    )
    return client


async def _ignore(_error: Exception) -> None:
    """Without a callback nats-py logs a traceback, even for refusals that a test expects."""


class _IdentityStandIn:
    """Answers requests for the keys that verify tokens, with the key of the real identity."""

    def __init__(self, servers: FixtureServers) -> None:
        self._servers = servers
        self._client: BusClient | None = None

    async def start(self) -> None:
        from cafeteria.identity.signing_keys import SigningKeys  # noqa: PLC0415 - only once a test needs it

        jwks = msgspec.json.encode(SigningKeys.load(str(self._servers.credentials.signing_key_file)).jwks)

        async def answer(message: Msg) -> None:
            await message.respond(jwks)

        self._client = await connect_as(self._servers, subjects.IDENTITY)
        await self._client.subscribe(subjects.JWKS.subject, queue=subjects.IDENTITY, cb=answer)
        await self._client.flush_all()

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(nats.errors.Error, TimeoutError):  # without a server there are no requests
            await client.flush(timeout=PING_TIMEOUT_S)  # drain only an open connection
            await client.drain()
        await client.close()
