"""Hashing: who gets a place, and what an unknown id costs."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher

from cafeteria.chassis.runtime.errors import Overloaded
from cafeteria.identity.passwords import LANES, MEMORY_KIB, PASSES, Match, Passwords


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    async with Passwords(threads=1, queue_limit=1, niceness=10).running() as running:
        yield running


async def test_only_the_right_password_matches(passwords: Passwords) -> None:
    password_hash = await passwords.hash("iftar-rush-2026")
    assert password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.match("iftar-rush-2026", password_hash) is Match.YES
    assert await passwords.match("iftar-rush-2027", password_hash) is Match.NO


async def test_a_password_may_be_any_text(passwords: Passwords) -> None:
    odd = "পাসওয়ার্ড\x00🌙"
    assert await passwords.match(odd, await passwords.hash(odd)) is Match.YES


async def test_nobodys_password_is_verified_too_and_never_matches(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    verify = PasswordHasher.verify

    def counting(self: PasswordHasher, password_hash: str, password: str) -> bool:
        verified.append(password_hash)
        return verify(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    assert await passwords.match("iftar-rush-2026", None) is Match.NO
    (nobodys_hash,) = verified
    assert nobodys_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_hash_that_is_none_matches_nothing(passwords: Passwords) -> None:
    assert await passwords.match("iftar-rush-2026", "no hash") is Match.NO


async def test_a_hash_with_other_parameters_is_outdated(passwords: Passwords) -> None:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x")
    assert await passwords.match("x", cheap) is Match.OUTDATED


async def test_a_hash_of_a_spelling_is_outdated_and_opens_to_that_spelling_alone(
    passwords: Passwords,
) -> None:
    of_two_code_points = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES).hash(
        "a\u0308"
    )
    assert await passwords.match("a\u0308", of_two_code_points) is Match.OUTDATED
    assert await passwords.match("\u00e4", of_two_code_points) is Match.NO
    assert await passwords.match("a\u0308", None) is Match.NO
    assert await passwords.match("a\u0308", await passwords.hash("\u00e4")) is Match.YES


async def test_who_finds_no_place_is_told_at_once_and_a_place_left_is_free_again(
    passwords: Passwords,
) -> None:
    async with passwords.place(), passwords.place():
        with pytest.raises(Overloaded) as refusal:
            async with passwords.place():
                pytest.fail("there were two places")
        assert refusal.value.headers["Retry-After"] == "2"
    async with passwords.place():
        assert await passwords.hash("x")


async def test_hashing_leaves_the_loop_free(passwords: Passwords) -> None:
    hashing = asyncio.ensure_future(passwords.hash("iftar-rush-2026"))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
