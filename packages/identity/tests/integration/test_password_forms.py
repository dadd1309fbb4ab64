"""A password works from every keyboard, although systems send the same letters in different forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher

from cafeteria.identity.password_hashing import MEMORY_KIB, PARALLELISM, PASSES
from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Identity, OpenIdentity


SPELLINGS = {
    "a letter with its accent": ("k\u00e4se-und-brot", "ka\u0308se-und-brot"),
    "Bengali ya with its dot": ("\u0986\u09df\u09a8\u09be-2026", "\u0986\u09af\u09bc\u09a8\u09be-2026"),
    "Bengali vowel o": ("\u0995\u09cb\u09a5\u09be-2026", "\u0995\u09c7\u09be\u09a5\u09be-2026"),
    "Hangul": ("\ud55c\uae00-2026-abc", "\u1112\u1161\u11ab\u1100\u1173\u11af-2026-abc"),
    "full width": ("iftar-2026", "\uff49\uff46\uff54\uff41\uff52-\uff12\uff10\uff12\uff16"),
    "a space that does not break": ("iftar rush", "iftar\u00a0rush"),
}


@pytest.mark.parametrize(("one", "other"), SPELLINGS.values(), ids=SPELLINGS.keys())
async def test_a_password_is_the_same_in_all_its_spellings(
    open_identity: OpenIdentity, tokens: Tokens, one: str, other: str
) -> None:
    identity = await open_identity(logins_per_client=10)
    operator = tokens.header(tokens.operator())
    for student_id, chosen in (("210041901", one), ("210041902", other)):
        body = {"student_id": student_id, "password": chosen}
        assert (await identity.web.post("/v1/students", json=body, headers=operator)).status_code == 201
        answers = [await identity.login(student_id, typed) for typed in (one, other, one[::-1])]
        assert [answer.status_code for answer in answers] == [200, 200, 401]


async def test_a_hash_of_version_0_1_accepts_the_form_that_made_it_and_then_all_forms(
    open_identity: OpenIdentity,
) -> None:
    identity = await open_identity(logins_per_client=10)
    composed, decomposed = SPELLINGS["a letter with its accent"]
    hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=PARALLELISM)
    old = hasher.hash(decomposed)
    await identity.add_user(password_hash=old)
    assert (await identity.login(password=composed)).status_code == 401
    assert await identity.database.fetchval("SELECT password_hash FROM identity.users") == old
    assert (await identity.login(password=decomposed)).status_code == 200
    renewed = await identity.database.fetchval("SELECT password_hash FROM identity.users")
    assert renewed != old
    answers = [await identity.login(password=typed) for typed in (composed, decomposed)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert await identity.database.fetchval("SELECT password_hash FROM identity.users") == renewed


async def test_a_plain_password_needs_no_new_hash(identity: Identity) -> None:
    await identity.add_user()
    before = await identity.database.fetchval("SELECT password_hash FROM identity.users")
    assert (await identity.login()).status_code == 200
    assert await identity.database.fetchval("SELECT password_hash FROM identity.users") == before


async def test_the_length_of_a_new_password_is_that_of_the_form_that_is_hashed(
    identity: Identity, tokens: Tokens
) -> None:
    operator = tokens.header(tokens.operator())
    short, long = "a\u0308" * 4, "\u00e4" * 200
    for password, status in ((short, 400), (long, 400), ("\u00e4" * 8, 201)):
        body = {"student_id": "210041903", "password": password}
        answer = await identity.web.post("/v1/students", json=body, headers=operator)
        assert answer.status_code == status, ascii(password)
    assert (await identity.login("210041903", "a\u0308" * 8)).status_code == 200


@pytest.mark.parametrize("written", ["iftar\\u0000-2026", "iftar-\\ud800-2026", "iftar-\\udc00-2026"])
async def test_unusable_characters_are_refused(identity: Identity, tokens: Tokens, written: str) -> None:
    headers = {"Content-Type": "application/json", **tokens.header(tokens.operator())}
    body = json.dumps({"student_id": "210041901", "password": "?"}).replace("?", written)
    login = await identity.web.post("/v1/login", content=body, headers=headers)
    registered = await identity.web.post("/v1/students", content=body, headers=headers)
    assert (login.status_code, registered.status_code) == (400, 400)
