"""Keys are kept through identity's absence, and made-up kids do not become a flood."""

import asyncio
from typing import Any

import pytest

from cafeteria.chassis.auth import jwks as keys_module
from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.jobs import JobRunner
from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.contracts.identity import Jwk, Jwks


class Identity:
    """Answers with what it is told, and counts."""

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

    async def reach(self, asked: int) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: self.asked >= asked)


class Clock:
    """Stands for monotonic time."""

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
    """As the app does, without the pauses."""
    return JobRunner("keys", 0.001, keys.refresh_when_due)


async def test_it_asks_in_the_background_until_identity_answers(signer: Any) -> None:
    identity = Identity(signer.jwks)
    identity.is_away = True
    keys = KeySource(identity.fetch)
    async with refreshing(keys):
        await identity.reach(3)
        with pytest.raises(Unavailable):
            await keys.check()
        identity.is_away = False
        await identity.reach(identity.asked + 1)
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


async def test_an_answer_without_keys_does_not_replace_what_is_known(signer: Any) -> None:
    identity = Identity(signer.jwks)
    keys = KeySource(identity.fetch)
    await keys.refresh()
    identity.jwks = Jwks(keys=())
    await keys.refresh()
    assert await keys.find("key-1")


async def test_an_unknown_kid_is_asked_for_once_a_minute(signer: Any, make_signer: Any, clock: Clock) -> None:
    identity = Identity(signer.jwks)
    keys = KeySource(identity.fetch)
    await keys.refresh()
    assert [await keys.find(f"made-up-{number}") for number in range(10)] == [None] * 10
    assert identity.asked == 2
    fresh = make_signer("key-2")
    identity.jwks = Jwks(keys=(*signer.jwks.keys, *fresh.jwks.keys))
    assert await keys.find("key-2") is None
    clock.now_s += keys_module.UNKNOWN_KID_PAUSE_S
    assert await keys.find("key-2")
    assert identity.asked == 3


async def test_those_who_come_while_it_is_asked_wait_for_the_answer(signer: Any, make_signer: Any) -> None:
    identity = Identity(signer.jwks)
    keys = KeySource(identity.fetch)
    await keys.refresh()
    fresh = make_signer("key-2")
    identity.jwks = fresh.jwks
    identity.gate.clear()
    waiting = [asyncio.create_task(keys.find("key-2")) for _ in range(5)]
    await identity.reach(2)
    identity.gate.set()
    assert all(await asyncio.gather(*waiting))
    assert identity.asked == 2


async def test_an_unknown_kid_while_identity_is_away_is_unknown_and_not_refused(signer: Any) -> None:
    identity = Identity(signer.jwks)
    keys = KeySource(identity.fetch)
    await keys.refresh()
    identity.is_away = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await keys.find("key-2")
    assert await keys.find("key-1")
    assert identity.asked == 2


async def test_keys_are_looked_at_again_after_a_while(
    signer: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = Identity(signer.jwks)
    async with refreshing(KeySource(identity.fetch)):
        await identity.reach(1)
        clock.now_s += keys_module.REFRESH_S + 1
        await identity.reach(2)


async def test_keys_of_another_kind_are_left_aside(signer: Any) -> None:
    foreign = Jwk(kid="rsa", x="AQAB", kty="RSA", crv="", alg="RS256")
    keys = KeySource(Identity(signer.jwks, Jwks(keys=(foreign,))).fetch)
    await keys.refresh()
    assert await keys.find("key-1")
    assert await keys.find("rsa") is None
