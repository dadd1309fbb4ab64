"""Password hashing: its limit, and the cost of an unknown id."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher

from cafeteria.chassis.runtime.errors import Overloaded
from cafeteria.identity.fair_queue import Share
from cafeteria.identity.password_hashing import MEMORY_KIB, PARALLELISM, PASSES, Match, PasswordHashing

FLOOD, HOME = (Share(name=name, is_known=False) for name in ("flood", "home"))
KNOWN = Share(name="210041101", is_known=True)


@pytest.fixture
async def fair() -> AsyncIterator[PasswordHashing]:
    """Two slots and a queue of seven."""
    async with PasswordHashing(threads=1, queue_limit=8, niceness=10) as hashing:
        yield hashing


@pytest.fixture
async def passwords() -> AsyncIterator[PasswordHashing]:
    async with PasswordHashing(threads=1, queue_limit=1, niceness=10) as hashing:
        yield hashing


async def test_only_the_right_password_matches(passwords: PasswordHashing) -> None:
    password_hash = await passwords.hash("iftar-rush-2026")
    assert password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.match("iftar-rush-2026", password_hash) is Match.YES
    assert await passwords.match("iftar-rush-2027", password_hash) is Match.NO


async def test_a_password_may_be_any_text(passwords: PasswordHashing) -> None:
    odd = "পাসওয়ার্ড\x00🌙"
    assert await passwords.match(odd, await passwords.hash(odd)) is Match.YES


async def test_without_a_hash_a_decoy_is_verified_and_nothing_matches(
    passwords: PasswordHashing, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    verify = PasswordHasher.verify

    def counting(self: PasswordHasher, password_hash: str, password: str) -> bool:
        verified.append(password_hash)
        return verify(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    assert await passwords.match("iftar-rush-2026", None) is Match.NO
    (decoy_hash,) = verified
    assert decoy_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_malformed_hash_matches_nothing(passwords: PasswordHashing) -> None:
    assert await passwords.match("iftar-rush-2026", "no hash") is Match.NO


async def test_a_hash_with_other_parameters_is_outdated(passwords: PasswordHashing) -> None:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x")
    assert await passwords.match("x", cheap) is Match.OUTDATED


async def test_a_hash_of_one_spelling_is_outdated_and_matches_only_that_spelling(
    passwords: PasswordHashing,
) -> None:
    of_two_code_points = PasswordHasher(
        time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=PARALLELISM
    ).hash("a\u0308")
    assert await passwords.match("a\u0308", of_two_code_points) is Match.OUTDATED
    assert await passwords.match("\u00e4", of_two_code_points) is Match.NO
    assert await passwords.match("a\u0308", None) is Match.NO
    assert await passwords.match("a\u0308", await passwords.hash("\u00e4")) is Match.YES


async def test_a_full_queue_refuses_at_once_and_a_slot_is_free_after_its_use(
    passwords: PasswordHashing,
) -> None:
    async with passwords.slot(), passwords.slot():
        with pytest.raises(Overloaded) as refusal:
            async with passwords.slot():
                pytest.fail("there were two slots")
        assert refusal.value.headers["Retry-After"] == "2"
    async with passwords.slot():
        assert await passwords.hash("x")


def waits(hashing: PasswordHashing, share: Share, served: list[str]) -> asyncio.Task[None]:
    async def log_in() -> None:
        async with hashing.slot(share):
            served.append(share.name)

    return asyncio.create_task(log_in())


async def test_an_honest_login_passes_a_flood_from_another_network(fair: PasswordHashing) -> None:
    served: list[str] = []
    async with fair.slot(FLOOD), fair.slot(FLOOD):
        flood = [waits(fair, FLOOD, served) for _ in range(100)]
        honest = [waits(fair, share, served) for share in (HOME, KNOWN)]
        await asyncio.sleep(0)  # all wait now
    await asyncio.gather(*honest)
    ends = await asyncio.gather(*flood, return_exceptions=True)
    assert served == ["210041101", "flood", "home", "flood", "flood", "flood", "flood"]
    assert sum(isinstance(end, Overloaded) for end in ends) == 95


async def test_a_login_that_is_cancelled_while_it_waits_takes_no_slot(fair: PasswordHashing) -> None:
    served: list[str] = []
    async with fair.slot(), fair.slot():
        cancelled, waiting = (waits(fair, HOME, served) for _ in range(2))
        await asyncio.sleep(0)  # both wait now
        cancelled.cancel()
    await waiting
    async with asyncio.timeout(10), fair.slot(), fair.slot():
        assert (served, cancelled.cancelled()) == (["home"], True)


async def test_a_slot_that_is_given_to_a_cancelled_login_goes_to_the_next(fair: PasswordHashing) -> None:
    served: list[str] = []
    async with fair.slot(), fair.slot():
        cancelled, waiting = (waits(fair, HOME, served) for _ in range(2))
        await asyncio.sleep(0)  # both wait now
    cancelled.cancel()  # it has its slot, and has not run since
    await waiting
    async with asyncio.timeout(10), fair.slot(), fair.slot():
        assert (served, cancelled.cancelled()) == (["home"], True)


async def test_hashing_leaves_the_loop_free(passwords: PasswordHashing) -> None:
    hashing = asyncio.ensure_future(passwords.hash("iftar-rush-2026"))
    steps = 0
    while not hashing.done():
        await asyncio.sleep(0)
        steps += 1
    assert steps > 10
