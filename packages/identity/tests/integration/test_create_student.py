"""Operators create accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Identity


# ruff: noqa: RUF001 - letters of other scripts that look like Latin ones


async def test_an_operator_creates_a_student_who_can_log_in(identity: Identity, tokens: Tokens) -> None:
    body = {"student_id": "210041999", "password": "a-new-password", "full_name": "Rumana"}
    answer = await identity.web.post("/v1/students", json=body, headers=tokens.header(tokens.operator()))
    assert answer.status_code == 201
    assert answer.json() == {
        "student_id": "210041999",
        "role": "student",
        "full_name": "Rumana",
        "expires_in": None,
    }
    assert (await identity.login("210041999", "a-new-password")).status_code == 200


async def test_an_account_may_have_another_role(identity: Identity, tokens: Tokens) -> None:
    body = {"student_id": "kitchen-2", "password": "a-new-password", "role": "kitchen"}
    answer = await identity.web.post("/v1/students", json=body, headers=tokens.header(tokens.operator()))
    assert answer.json()["role"] == "kitchen"
    assert answer.json()["full_name"] is None


async def test_a_taken_id_is_a_conflict_and_its_account_stays_as_it_is(
    identity: Identity, tokens: Tokens
) -> None:
    await identity.add_user()
    before = await identity.database.fetchrow("SELECT * FROM identity.users")
    body = {"student_id": "210041101", "password": "another-password", "role": "operator"}
    answer = await identity.web.post("/v1/students", json=body, headers=tokens.header(tokens.operator()))
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/conflict")
    assert await identity.database.fetchrow("SELECT * FROM identity.users") == before


async def test_only_operators_create_accounts(identity: Identity, tokens: Tokens) -> None:
    body = {"student_id": "210041999", "password": "a-new-password"}
    for token in (tokens.student(), tokens.kitchen()):
        answer = await identity.web.post("/v1/students", json=body, headers=tokens.header(token))
        assert answer.status_code == 403
    assert (await identity.web.post("/v1/students", json=body)).status_code == 401
    assert await identity.database.fetchval("SELECT count(*) FROM identity.users") == 0


async def test_values_that_cannot_be_stored_are_refused(identity: Identity, tokens: Tokens) -> None:
    fine = {"student_id": "210041999", "password": "a-new-password"}
    for wrong in (
        {"password": "short"},
        {"password": "password1"},
        {"password": "BASEBALL"},
        {"password": "210041999"},
        {"password": "210041999!"},
        {"student_id": "no spaces"},
        {"student_id": "210041999\n"},
        {"full_name": "a\u0000b"},
        {"full_name": " "},
        {"full_name": ""},
        {"full_name": "\u200b"},
        {"full_name": "\u3164\u2800"},
        {"full_name": "\u0301"},
        {"full_name": "Rumana\u202e"},
        {"full_name": "\u2067Rumana"},
        {"full_name": "Rumana\u00ad"},
        {"full_name": "Rumana\U000e0041"},
        {"full_name": "x" * 121},
        {"role": "king"},
    ):
        answer = await identity.web.post(
            "/v1/students", json={**fine, **wrong}, headers=tokens.header(tokens.operator())
        )
        assert answer.status_code == 400, wrong
    assert await identity.database.fetchval("SELECT count(*) FROM identity.users") == 0


async def test_a_name_is_stored_in_one_spelling(identity: Identity, tokens: Tokens) -> None:
    names = {" Zoe\u0308 \u00a0Ng ": "Zoë Ng", "রুমানা\u3000আয়না": "রুমানা আয়না", "می\u200cنا 🍛": "می\u200cنا 🍛"}
    for number, (sent, kept) in enumerate(names.items()):
        body = {"student_id": f"21004199{number}", "password": "a-new-password", "full_name": sent}
        answer = await identity.web.post("/v1/students", json=body, headers=tokens.header(tokens.operator()))
        assert (answer.status_code, answer.json()["full_name"]) == (201, kept), ascii(sent)
    stored = await identity.database.fetch("SELECT full_name FROM identity.users ORDER BY student_id")
    assert [row["full_name"] for row in stored] == list(names.values())
