"""Ended sessions are published at once and every second, from Postgres: any replica may have ended them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest
from nats.aio.msg import Msg

from cafeteria.chassis.auth.jwks import keys_over
from cafeteria.chassis.messaging import Bus
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.identity import FetchJwks, SessionsRevoked
from cafeteria.contracts.subjects import GATEWAY, JWKS, SESSIONS_REVOKED
from cafeteria.identity.jobs import REVOKE_EVERY_S
from cafeteria.identity.repository import sessions
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from cafeteria.chassis.database.database import Database
    from cafeteria.testkit.servers import FixtureServers
    from conftest import Identity, OpenIdentity

MAX_MESSAGE_BYTES = 64 * 1024

_END_MANY = """
INSERT INTO identity.refresh_tokens
    (id, family, user_id, token_hash, created_at, expires_at, last_used_at, access_expires_at, revoked_at)
SELECT id, id, $1, sha256(id::text::bytea), now() - interval '1 day', now() + interval '20 days', now(),
    date_trunc('second', now()) + number % 900 * interval '1 second', now()
FROM (SELECT number, uuidv7() AS id FROM generate_series(1, $2) AS number) AS ended
"""


class Listener:
    """The gateway's end of the bus: the ended sessions that it was told of, and the size of each message."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.messages: list[list[UUID]] = []
        self.sizes: list[int] = []

    async def receive(self, message: Msg) -> None:
        body = msgspec.json.decode(message.data, type=SessionsRevoked)
        self.messages.append([each.session for each in body.revocations])
        self.sizes.append(len(message.data))

    @property
    def sessions(self) -> set[UUID]:
        return {session for message in self.messages for session in message}


@pytest.fixture
async def listener(clean: None, service_settings: Callable[..., Any]) -> AsyncIterator[Listener]:
    async with Bus(service_settings(GATEWAY, ServiceSettings), service=GATEWAY) as bus:
        await bus.connected()
        listener = Listener(bus)
        await bus.client.subscribe(SESSIONS_REVOKED.subject, cb=listener.receive)
        await bus.client.flush()
        yield listener


async def session_of(identity: Identity) -> UUID:
    session = await identity.database.fetchval("SELECT id FROM identity.refresh_tokens WHERE id = family")
    assert isinstance(session, UUID)
    return session


async def test_a_logout_is_published_at_once_and_then_every_second(
    identity: Identity, listener: Listener
) -> None:
    await identity.add_user()
    tokens = await identity.signed_in()
    session = await session_of(identity)
    assert not listener.messages  # while there is nothing to tell, nothing is published
    await identity.web.post("/v1/logout", json={"refresh_token": tokens["refresh_token"]})
    async with asyncio.timeout(REVOKE_EVERY_S):
        await until(lambda: listener.messages == [[session]])
    async with asyncio.timeout(2 * REVOKE_EVERY_S + 0.5):
        await until(lambda: listener.messages == [[session]] * 3)


async def test_sessions_that_another_replica_ended_are_published(
    identity: Identity, listener: Listener, database: Database
) -> None:
    """It needs no announcement: the record is in Postgres."""
    user_id = await identity.add_user()
    await identity.signed_in()
    async with database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE users SET disabled_at = now()")
        [session] = await sessions.end_sessions(connection, user_id=user_id, now=datetime.now(UTC))
    async with asyncio.timeout(2):
        await until(lambda: session in listener.sessions)


async def test_an_end_during_an_outage_of_the_bus_is_known_here_at_once_and_published_when_it_is_back(
    identity: Identity, listener: Listener, servers: FixtureServers
) -> None:
    await identity.add_user()
    tokens = await identity.signed_in()
    session = await session_of(identity)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    await servers.nats.stop()
    logout = await identity.web.post("/v1/logout", json={"refresh_token": tokens["refresh_token"]})
    assert logout.status_code == 204
    await until(lambda: is_refused(identity, header))
    assert not listener.messages
    await servers.nats.start()
    await until(lambda: session in listener.sessions)


async def is_refused(identity: Identity, header: dict[str, str]) -> bool:
    return (await identity.web.get("/v1/me", headers=header)).status_code == 401


async def test_a_restarted_identity_has_forgotten_nothing(
    open_identity: OpenIdentity, listener: Listener
) -> None:
    first = await open_identity()
    await first.add_user()
    tokens = await first.signed_in()
    session = await session_of(first)
    await first.web.post("/v1/logout", json={"refresh_token": tokens["refresh_token"]})
    await until(lambda: session in listener.sessions)
    second = await open_identity()
    await until(lambda: is_ready(second))
    me = await second.web.get("/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert me.status_code == 401


async def is_ready(identity: Identity) -> bool:
    return (await identity.web.get("/health/ready")).status_code == 200


async def test_an_expired_access_token_needs_no_revocation(
    identity: Identity, listener: Listener, servers: FixtureServers
) -> None:
    await identity.add_user()
    tokens = await identity.signed_in()
    await identity.database.execute(
        "UPDATE identity.refresh_tokens SET access_expires_at = now() - interval '61 s'"
    )
    await identity.web.post("/v1/logout", json={"refresh_token": tokens["refresh_token"]})
    async with servers.without_identity():
        answer = await listener.bus.request(JWKS, FetchJwks(), deadline_s=5)
    assert answer.revocations == ()
    assert not listener.messages


async def test_20_000_ended_sessions_pass_in_small_messages_and_block_no_loop(
    identity: Identity, listener: Listener, database: Database, servers: FixtureServers
) -> None:
    user_id = await identity.add_user()
    tokens = await identity.signed_in()
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    longest_s = 0.0
    await identity.database.execute(_END_MANY, user_id, 20_000)
    began = perf_counter()
    while len(listener.sessions) < 20_000:
        asked = perf_counter()
        assert (await identity.web.get("/v1/me", headers=header)).status_code == 200
        longest_s = max(longest_s, perf_counter() - asked)
        assert perf_counter() - began < 20
    assert max(listener.sizes) < MAX_MESSAGE_BYTES
    assert (
        longest_s < 1
    )  # about 20 ms alone: every second 40 messages are read, written and received in this process
    async with servers.without_identity():
        keys = keys_over(listener.bus)
        await keys.refresh()
    assert all(session in keys.revoked for session in listener.sessions)
