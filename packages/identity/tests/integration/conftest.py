"""Fixtures of identity on real servers: clients that call it over HTTP, and a connection that reads its tables."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from argon2 import PasswordHasher

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.database.database import Database
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.identity.app import create_app
from cafeteria.identity.password_hashing import MEMORY_KIB, PARALLELISM, PASSES
from cafeteria.identity.settings import IdentitySettings
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

STUDENT = "210041101"
PASSWORD = "iftar-rush-2026"
PASSWORD_HASH = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=PARALLELISM).hash(
    PASSWORD
)
TIMEOUT_S = 20.0

_INSERT_USER = """
INSERT INTO identity.users (id, student_id, password_hash, created_at, updated_at, full_name, role, disabled_at)
VALUES ($1, $2, $3, $4, $4, $5, $6, $7)
"""


class Identity:
    """A running identity, its clients, and an administrator's connection to its database."""

    def __init__(self, *, url: str, database: asyncpg.Connection) -> None:
        self.url = url
        self.database = database
        self.web = self.client()
        self._others: list[httpx.AsyncClient] = []

    def client(self, *, address: str | None = None) -> httpx.AsyncClient:
        """A client with its own cookies. `address` goes in a proxy's header: macOS has only one loopback address."""
        headers = {"X-Forwarded-For": address} if address else None
        return plain_http(base_url=self.url, timeout_s=TIMEOUT_S, headers=headers)

    def another_client(self, *, address: str | None = None) -> httpx.AsyncClient:
        self._others.append(self.client(address=address))
        return self._others[-1]

    async def close(self) -> None:
        for client in (self.web, *self._others):
            await client.aclose()

    async def add_user(
        self,
        student_id: str = STUDENT,
        *,
        role: str = "student",
        full_name: str | None = None,
        disabled: bool = False,
        password_hash: str = PASSWORD_HASH,
    ) -> UUID:
        user_id, now = new_id(), datetime.now(UTC)
        disabled_at = now if disabled else None
        await self.database.execute(
            _INSERT_USER, user_id, student_id, password_hash, now, full_name, role, disabled_at
        )
        return user_id

    async def login(
        self,
        student_id: str = STUDENT,
        password: str = PASSWORD,
        *,
        web: httpx.AsyncClient | None = None,
        **more: Any,
    ) -> httpx.Response:
        body = {"student_id": student_id, "password": password, **more}
        return await (web or self.web).post("/v1/login", json=body)

    async def signed_in(self, student_id: str = STUDENT, **more: Any) -> dict[str, Any]:
        answer = await self.login(student_id, **more)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def refresh(self, refresh_token: str) -> httpx.Response:
        return await self.web.post("/v1/token/refresh", json={"refresh_token": refresh_token})

    async def forget_windows(self) -> None:
        """Delete all windows of logins, as a minute without attempts would."""
        await self.database.execute("DELETE FROM identity.login_windows")
        await self.database.execute("DELETE FROM identity.sender_windows")

    async def verifies_tokens(self) -> bool:
        """Whether it has read the ended sessions, without which it accepts no token."""
        ready = await self.web.get("/health/ready")
        return bool(ready.json()["dependencies"]["keys"] == "ok")

    async def until_waiting(self, number: int, *, within_s: float = 10) -> None:
        """Wait until this number of identity's connections wait for a lock."""
        async with asyncio.timeout(within_s):
            while number > await self.database.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'identity' AND wait_event_type = 'Lock'"
            ):
                # within a transaction the activity view does not change until its snapshot is cleared
                await self.database.execute("SELECT pg_stat_clear_snapshot()")
                await asyncio.sleep(0.01)

    async def attempts(self) -> list[tuple[str, str, bool]]:
        """The audit in order, as (student id, outcome, success)."""
        rows = await self.database.fetch(
            "SELECT student_id, outcome, success FROM identity.login_attempts ORDER BY attempted_at, id"
        )
        return [(row["student_id"], row["outcome"], row["success"]) for row in rows]


OpenIdentity = Callable[..., Awaitable[Identity]]


@pytest.fixture
async def open_identity(
    clean: None,
    servers: FixtureServers,
    service_settings: Callable[..., Any],
    serve: Callable[[ServiceApp], AbstractAsyncContextManager[str]],
) -> AsyncIterator[OpenIdentity]:
    """Start an identity with these settings; it stops with the test."""
    async with AsyncExitStack() as stack:

        async def open_with(**settings: Any) -> Identity:
            loaded = service_settings("identity", IdentitySettings, **settings)
            url = await stack.enter_async_context(serve(create_app(loaded)))
            database = await asyncpg.connect(servers.postgres_admin_url)
            stack.push_async_callback(database.close)
            identity = Identity(url=url, database=database)
            stack.push_async_callback(identity.close)
            await until(identity.verifies_tokens)
            return identity

        yield open_with


@pytest.fixture
async def identity(open_identity: OpenIdentity) -> Identity:
    return await open_identity()


@pytest.fixture
async def database(clean: None, service_settings: Callable[..., Any]) -> AsyncIterator[Database]:
    """A pool of identity's own role."""
    database = Database.connect(service_settings("identity", IdentitySettings), service="identity")
    yield database
    await database.close()
