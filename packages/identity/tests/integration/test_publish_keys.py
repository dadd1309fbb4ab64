"""Public keys over HTTP and the bus, also without NATS or Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nats.errors import Error as NatsError

from cafeteria.chassis.messaging import Bus, NoAnswer
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.identity import FetchJwks, JwksAnswered
from cafeteria.contracts.subjects import GATEWAY, JWKS
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import Identity, OpenIdentity


async def test_the_keys_are_public_and_may_be_cached(identity: Identity) -> None:
    answer = await identity.web.get("/.well-known/jwks.json")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=300"
    (key,) = answer.json()["keys"]
    assert {name: key[name] for name in ("kty", "crv", "alg", "use")} == {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
    }
    assert set(key) == {"kid", "x", "kty", "crv", "alg", "use"}


async def test_the_bus_gives_the_same_keys(
    identity: Identity, servers: FixtureServers, service_settings: Callable[..., Any]
) -> None:
    over_http = (await identity.web.get("/.well-known/jwks.json")).json()
    async with (
        servers.without_identity(),
        Bus(service_settings(GATEWAY, ServiceSettings), service=GATEWAY) as bus,
    ):
        await bus.connected()
        answer: JwksAnswered = await bus.request(JWKS, FetchJwks(), deadline_s=5)
    assert [key.kid for key in answer.keys] == [key["kid"] for key in over_http["keys"]]


async def test_without_nats_logins_work_and_key_requests_are_answered_when_it_is_back(
    open_identity: OpenIdentity, servers: FixtureServers, service_settings: Callable[..., Any]
) -> None:
    async with servers.without_identity():
        await servers.nats.stop()
        identity = await open_identity()
        await identity.add_user()
        assert (await identity.login()).status_code == 200
        ready = await identity.web.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["dependencies"]["nats"].startswith("unavailable")
        assert ready.json()["dependencies"]["postgres"] == "ok"
        assert (await identity.web.get("/health/live")).status_code == 200
        await servers.nats.start()
        await until(lambda: is_ready(identity))
        async with Bus(service_settings(GATEWAY, ServiceSettings), service=GATEWAY) as bus:
            await bus.connected()
            await until(lambda: answers(bus))
            await servers.nats.stop()
            await servers.nats.start()
            await until(lambda: answers(bus))
            await until(lambda: is_ready(identity))


async def is_ready(identity: Identity) -> bool:
    return (await identity.web.get("/health/ready")).status_code == 200


async def answers(bus: Bus) -> bool:
    try:
        answer = await bus.request(JWKS, FetchJwks(), deadline_s=1)
    except (NoAnswer, NatsError):
        return False
    return len(answer.keys) == 1


async def test_without_postgres_logins_get_503_and_keys_are_published(
    identity: Identity, servers: FixtureServers
) -> None:
    await identity.add_user()
    tokens = await identity.signed_in()
    await servers.postgres.stop()
    refused = await asyncio.gather(identity.login(), identity.refresh(tokens["refresh_token"]))
    assert [answer.status_code for answer in refused] == [503, 503]
    assert all("retry-after" in answer.headers for answer in refused)
    assert (await identity.web.get("/.well-known/jwks.json")).status_code == 200
    ready = await identity.web.get("/health/ready")
    assert ready.json()["dependencies"]["postgres"].startswith("unavailable")
    await servers.postgres.start()
    await until(lambda: is_ready(identity))
    assert (await identity.refresh(tokens["refresh_token"])).status_code == 200
