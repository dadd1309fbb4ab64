"""The servers that integration tests share: started once, emptied between tests, never made to look real."""

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
from cafeteria.provisioning.administrator import connect
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

    Until told otherwise, `identity` is stood in for on the bus: somebody has to say which keys verify tokens.
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
        """To stop, kill, freeze and start again."""
        return self._servers.members[POSTGRES]

    @property
    def nats(self) -> SupervisedProcess:
        """To stop, kill, freeze and start again."""
        return self._servers.members[NATS]

    @property
    def postgres_url(self) -> str:
        """Without credentials."""
        return self._servers.postgres_url

    @property
    def postgres_admin_url(self) -> str:
        return self._servers.postgres_admin_url

    @property
    def nats_url(self) -> str:
        """Without credentials."""
        return self._servers.nats_url

    @property
    def nats_admin_url(self) -> str:
        return self._servers.nats_admin_url

    @property
    def monitor_url(self) -> str:
        """NATS' own HTTP pages."""
        return self._servers.monitor_url or ""

    async def start(self) -> None:
        await self._servers.start()
        await asyncio.gather(self._prepare_database(), self._prepare_bus())

    async def stop(self) -> None:
        await self._identity.leave()
        await self._admin.__aexit__(None, None, None)
        await self._database_reset.close()
        await self._servers.stop(grace_s=STOP_GRACE_S)
        self.home.remove()

    async def clean(self) -> None:
        """Every table as its migration left it, every stream empty; servers that a test stopped run again."""
        for member in (self.postgres, self.nats):
            if not member.is_running:
                await _start(member)
        await self._admin.connected()  # the tests' loop stands still while a test without one runs
        await self._admin.ensure()
        await asyncio.gather(self._database_reset.clean(), self._admin.purge())

    async def wipe_nats(self) -> None:
        """Kill NATS, remove its store, start it again, and make the streams anew as the bootstrap does."""
        await self.lose_nats_store()
        await self._admin.ensure()

    async def lose_nats_store(self) -> None:
        """Kill NATS, remove its store, start it again; its streams are for somebody else to make."""
        await self._servers.wipe_nats()

    def targets(self) -> Targets:
        """What the bootstrap works on."""
        return self._servers.targets()

    async def ensure_bus(self) -> None:
        """What the bootstrap does after every start of NATS."""
        await self._admin.ensure()

    @contextlib.asynccontextmanager
    async def without_identity(self) -> AsyncIterator[None]:
        """Nobody says which keys verify tokens."""
        await self._identity.leave()
        try:
            yield
        finally:
            await self._identity.join()

    @contextlib.asynccontextmanager
    async def bus_as(self, user: str) -> AsyncIterator[BusClient]:
        """A connection with the rights of a service's user, or of `admin`."""
        client = await connect_as(self, user)
        try:
            yield client
        finally:
            await client.close()

    @contextlib.asynccontextmanager
    async def database_as(self, role: str) -> AsyncIterator[asyncpg.Connection]:
        """A connection with the rights of a service's role."""
        password = self.credentials.postgres_password(role)
        connection = await connect(self.postgres_url, user=role, password=password)
        try:
            yield connection
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def database_as_admin(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await connect(self.postgres_admin_url)
        try:
            yield connection
        finally:
            await connection.close()

    def environment(self, service: str) -> dict[str, str]:
        """What a process of the service is started with; its port is any free one."""
        return {
            "CAFETERIA_PORT": "0",
            "CAFETERIA_POSTGRES_URL": self.postgres_url,
            "CAFETERIA_POSTGRES_PASSWORD_FILE": str(self.credentials.postgres_file(service)),
            "CAFETERIA_NATS_URL": self.nats_url,
            "CAFETERIA_NATS_PASSWORD_FILE": str(self.credentials.nats_file(service)),
            "IDENTITY_SIGNING_KEY_FILE": str(self.credentials.signing_key_file),
        }

    def settings(self, service: str, settings_type: type[Settings], **overrides: Any) -> Settings:
        """As the process would load them; names in capitals are variables, the others fields."""
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
        await self._database_reset.remember()

    async def _prepare_bus(self) -> None:
        await require_synchronous(self.monitor_url)
        await self._admin.__aenter__()
        await self._admin.ensure()
        await self._identity.join()


async def _start(member: SupervisedProcess) -> None:
    """The log is gone with the session, and so the error holds the end of it."""
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
        reconnect_time_wait=0.1,  # type: ignore[arg-type]  # any number of seconds works
        error_cb=_ignore,
    )
    return client


async def _ignore(_error: Exception) -> None:
    """nats-py logs a traceback otherwise, also where a test wants to be refused."""


class _IdentityStandIn:
    """Answers which keys verify tokens, from the key that the real identity would sign with."""

    def __init__(self, servers: FixtureServers) -> None:
        self._servers = servers
        self._client: BusClient | None = None

    async def join(self) -> None:
        from cafeteria.identity.signing_keys import SigningKeys  # noqa: PLC0415 - only once a test needs it

        jwks = msgspec.json.encode(SigningKeys.load(str(self._servers.credentials.signing_key_file)).jwks)

        async def answer(message: Msg) -> None:
            await message.respond(jwks)

        self._client = await connect_as(self._servers, subjects.IDENTITY)
        await self._client.subscribe(subjects.JWKS.subject, queue=subjects.IDENTITY, cb=answer)
        await self._client.flush_all()

    async def leave(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(nats.errors.Error, TimeoutError):  # where the server is away, nobody asks
            await client.flush(timeout=PING_TIMEOUT_S)  # where it is not let go already, it can be drained
            await client.drain()
        await client.close()
