"""The cached keys outlast an outage of identity, and unknown kids cause at most one fetch a minute."""

import asyncio
from typing import Any

import pytest

from cafeteria.chassis.auth import jwks as keys_module
from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.jobs import JobRunner
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.contracts.identity import Jwk, Jwks


class Identity:
    """A stand-in for identity: `fetch` returns `jwks` once `gate` is set, or raises while `is_away`; `asked` counts."""

    def __init__(self, *jwks: Jwks) -> None:
        self.jwks = Jwks(keys=tuple(key for each in jwks for key in each.keys))
        self.asked = 0
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.changed = asyncio.Condition()

    async def fetch(self) -> Jwks:
        self.asked += 1
        async with self.changed:
            self.changed.notify_all()
        await self.gate.wait()
        if self.is_away:
            raise ConnectionError("away")
        return self.jwks

    async def wait_for_fetches(self, asked: int) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: self.asked >= asked)


class Clock:
    """A monotonic clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(keys_module, "monotonic", clock)
    return clock


def refreshing(keys: KeySource) -> JobRunner:
    """Return the app's refresh job, without its pauses."""
    return JobRunner("keys", 0.001, keys.refresh_when_due)


async def test_keys_are_fetched_in_the_background_until_identity_answers(signer: Any) -> None:
    identity = Identity(signer.jwks)
    identity.is_away = True
    keys = KeySource(identity.fetch)
    async with refreshing(keys):
        await identity.wait_for_fetches(3)
        with pytest.raises(Unavailable):
            await keys.check()
        identity.is_away = False
        await identity.wait_for_fetches(identity.asked + 1)
        assert await keys.find("key-1")
        await keys.check()


async def test_the_last_good_keys_are_kept_while_identity_is_away(signer: Any) -> None:
    identity = Identity(signer.jwks)
    keys = KeySource(identity.fetch)
    await keys.refresh()
    identity.is_away = True
    with pytest.raises(ConnectionError):
        await keys.refresh()
    assert await keys.find("key-1")
    await keys.check()


async def test_an_answer_without_keys_does_not_replace_the_cached_keys(signer: Any) -> None:
    identity = Identity(signer.jwks)
    keys = KeySource(identity.fetch)
    await keys.refresh()
    identity.jwks = Jwks(keys=())
    await keys.refresh()
    assert await keys.find("key-1")


async def test_an_unknown_kid_causes_one_fetch_a_minute(signer: Any, make_signer: Any, clock: Clock) -> None:
    identity = Identity(signer.jwks)
    keys = KeySource(identity.fetch)
    await keys.refresh()
    assert [await keys.find(f"made-up-{number}") for number in range(10)] == [None] * 10
    assert identity.asked == 2
    new_signer = make_signer("key-2")
    identity.jwks = Jwks(keys=(*signer.jwks.keys, *new_signer.jwks.keys))
    assert await keys.find("key-2") is None
    clock.now_s += keys_module.UNKNOWN_KID_PAUSE_S
    assert await keys.find("key-2")
    assert identity.asked == 3


async def test_lookups_during_a_fetch_wait_for_its_answer(signer: Any, make_signer: Any) -> None:
    identity = Identity(signer.jwks)
    keys = KeySource(identity.fetch)
    await keys.refresh()
    new_signer = make_signer("key-2")
    identity.jwks = new_signer.jwks
    identity.gate.clear()
    waiting = [asyncio.create_task(keys.find("key-2")) for _ in range(5)]
    await identity.wait_for_fetches(2)
    identity.gate.set()
    assert all(await asyncio.gather(*waiting))
    assert identity.asked == 2


async def test_an_unknown_kid_while_identity_is_away_is_unavailable_and_not_refused(signer: Any) -> None:
    identity = Identity(signer.jwks)
    keys = KeySource(identity.fetch)
    await keys.refresh()
    identity.is_away = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await keys.find("key-2")
    assert await keys.find("key-1")
    assert identity.asked == 2


async def test_keys_are_fetched_again_after_the_refresh_interval(
    signer: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = Identity(signer.jwks)
    async with refreshing(KeySource(identity.fetch)):
        await identity.wait_for_fetches(1)
        clock.now_s += keys_module.REFRESH_S + 1
        await identity.wait_for_fetches(2)


async def test_keys_of_another_type_are_ignored(signer: Any) -> None:
    foreign = Jwk(kid="rsa", x="AQAB", kty="RSA", crv="", alg="RS256")
    keys = KeySource(Identity(signer.jwks, Jwks(keys=(foreign,))).fetch)
    await keys.refresh()
    assert await keys.find("key-1")
    assert await keys.find("rsa") is None
