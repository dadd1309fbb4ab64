"""Hashing: who gets a place, and what an unknown id costs."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher

from cafeteria.chassis.errors import Overloaded
from cafeteria.identity.passwords import Passwords


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    async with Passwords(threads=1, queue_limit=1, niceness=10).running() as running:
        yield running


async def test_only_the_right_password_matches(passwords: Passwords) -> None:
    password_hash = await passwords.hash("iftar-rush-2026")
    assert password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.matches("iftar-rush-2026", password_hash)
    assert not await passwords.matches("iftar-rush-2027", password_hash)


async def test_a_password_may_be_any_text(passwords: Passwords) -> None:
    odd = "পাসওয়ার্ড\x00🌙"
    assert await passwords.matches(odd, await passwords.hash(odd))


async def test_nobodys_password_is_verified_too_and_never_matches(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    verify = PasswordHasher.verify

    def counting(self: PasswordHasher, password_hash: str, password: str) -> bool:
        verified.append(password_hash)
        return verify(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    assert not await passwords.matches("iftar-rush-2026", None)
    (nobodys_hash,) = verified
    assert nobodys_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_hash_that_is_none_matches_nothing(passwords: Passwords) -> None:
    assert not await passwords.matches("iftar-rush-2026", "no hash")


async def test_a_hash_with_other_parameters_is_outdated(passwords: Passwords) -> None:
    assert not passwords.is_outdated(await passwords.hash("iftar-rush-2026"))
    assert passwords.is_outdated(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x"))


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
