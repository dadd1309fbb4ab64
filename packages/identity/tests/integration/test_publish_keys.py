"""Public keys over HTTP and the bus, also while NATS comes and goes; and what a lost database means."""

import asyncio

from nats.errors import Error as NatsError

from cafeteria.chassis.messaging import Bus, NoAnswer
from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.identity import AskJwks, Jwks
from cafeteria.contracts.subjects import GATEWAY, JWKS


async def test_the_keys_are_public_and_may_be_kept(desk) -> None:
    answer = await desk.web.get("/.well-known/jwks.json")
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


async def test_the_bus_gives_the_same_keys(desk, servers, service_settings) -> None:
    over_http = (await desk.web.get("/.well-known/jwks.json")).json()
    async with (
        servers.without_identity(),
        Bus(service_settings(GATEWAY, ServiceSettings), service=GATEWAY) as bus,
    ):
        await bus.connected()
        answer: Jwks = await bus.request(JWKS, AskJwks(), deadline_s=5)
    assert [key.kid for key in answer.keys] == [key["kid"] for key in over_http["keys"]]


async def test_without_nats_people_sign_in_and_the_bus_door_opens_when_it_is_back(
    open_desk, servers, service_settings, wait_until
) -> None:
    async with servers.without_identity():
        await servers.nats.stop()
        desk = await open_desk()
        await desk.add_user()
        assert (await desk.login()).status_code == 200
        ready = await desk.web.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["dependencies"]["nats"].startswith("unavailable")
        assert ready.json()["dependencies"]["postgres"] == "ok"
        assert (await desk.web.get("/health/live")).status_code == 200
        await servers.nats.start()
        await wait_until(lambda: is_ready(desk))
        async with Bus(service_settings(GATEWAY, ServiceSettings), service=GATEWAY) as bus:
            await bus.connected()
            await wait_until(lambda: answers(bus))
            await servers.nats.stop()
            await servers.nats.start()
            await wait_until(lambda: answers(bus))
            await wait_until(lambda: is_ready(desk))


async def is_ready(desk) -> bool:
    return (await desk.web.get("/health/ready")).status_code == 200


async def answers(bus: Bus) -> bool:
    try:
        answer = await bus.request(JWKS, AskJwks(), deadline_s=1)
    except (NoAnswer, NatsError):
        return False
    return len(answer.keys) == 1


async def test_without_postgres_logins_are_told_so_and_keys_are_still_given(
    desk, servers, wait_until
) -> None:
    await desk.add_user()
    tokens = await desk.signed_in()
    await servers.postgres.stop()
    refused = await asyncio.gather(desk.login(), desk.refresh(tokens["refresh_token"]))
    assert [answer.status_code for answer in refused] == [503, 503]
    assert all("retry-after" in answer.headers for answer in refused)
    assert (await desk.web.get("/.well-known/jwks.json")).status_code == 200
    ready = await desk.web.get("/health/ready")
    assert ready.json()["dependencies"]["postgres"].startswith("unavailable")
    await servers.postgres.start()
    await wait_until(lambda: is_ready(desk))
    assert (await desk.refresh(tokens["refresh_token"])).status_code == 200
