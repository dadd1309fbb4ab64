"""A page that asks for no tokens gets them as cookies that no script reads, and in no other way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from conftest import Identity

STUDENT = "210041101"
COOKIES_ALONE: dict[str, Any] = {"cookie": True, "tokens": False}


def secrets_of(answer: httpx.Response) -> list[str]:
    """The values of the cookies that the answer sets; of a signed one also its parts."""
    lines = answer.headers.get_list("set-cookie")
    values = [line.partition(";")[0].partition("=")[2] for line in lines]
    return [part for value in values for part in (value, *value.split(".")) if part]


def session_in(answer: httpx.Response) -> dict[str, Any]:
    """The body of an answer, which has no token in it."""
    assert answer.status_code == 200, answer.text
    assert len(secrets_of(answer)) > 4
    assert [secret for secret in secrets_of(answer) if secret in answer.text] == []
    return dict(answer.json())


async def test_the_answer_to_a_login_says_who_it_is_and_holds_no_token(identity: Identity) -> None:
    await identity.add_user("kitchen-9", role="kitchen", full_name="Ada")
    answer = await identity.login("kitchen-9", **COOKIES_ALONE)
    assert session_in(answer) == {
        "student_id": "kitchen-9",
        "role": "kitchen",
        "full_name": "Ada",
        "expires_in": 900,
    }
    assert (await identity.web.get("/v1/me")).json()["student_id"] == "kitchen-9"


async def test_a_one_time_password_is_replaced_without_a_token_too(
    identity: Identity,
) -> None:
    await identity.add_user()
    answer = await identity.login(new_password="a-password-of-my-own", **COOKIES_ALONE)
    assert session_in(answer)["student_id"] == STUDENT


@pytest.mark.parametrize("body", [COOKIES_ALONE, {"tokens": False}])
async def test_a_renewal_by_cookie_holds_no_token(identity: Identity, body: dict[str, bool]) -> None:
    await identity.add_user(full_name="Ada")
    await identity.login(**COOKIES_ALONE)
    before = identity.web.cookies["cafeteria_refresh"]
    renewed = await identity.web.post("/v1/token/refresh", json=body)
    assert session_in(renewed) == {
        "student_id": STUDENT,
        "role": "student",
        "full_name": "Ada",
        "expires_in": 900,
    }
    assert identity.web.cookies["cafeteria_refresh"] != before
    assert (await identity.web.get("/v1/me")).status_code == 200


async def test_a_renewal_by_a_token_may_ask_for_cookies_alone(identity: Identity) -> None:
    await identity.add_user()
    token = (await identity.signed_in())["refresh_token"]
    renewed = await identity.web.post("/v1/token/refresh", json={"refresh_token": token, **COOKIES_ALONE})
    assert session_in(renewed)["student_id"] == STUDENT


async def test_a_login_whose_tokens_could_go_nowhere_is_refused_before_it_counts(identity: Identity) -> None:
    await identity.add_user()
    for _ in range(4):  # three attempts a minute would be allowed
        refused = await identity.login(tokens=False)
        assert (refused.status_code, refused.headers.get_list("set-cookie")) == (400, [])
        assert refused.json()["errors"] == ["body.tokens: false needs `cookie` to be true"]
        assert "Nothing was done." in refused.json()["detail"]
    assert await identity.attempts() == []
    assert (await identity.login()).status_code == 200


async def test_a_renewal_whose_tokens_could_go_nowhere_leaves_the_token_unused(identity: Identity) -> None:
    await identity.add_user()
    token = (await identity.signed_in())["refresh_token"]
    refused = await identity.web.post("/v1/token/refresh", json={"refresh_token": token, "tokens": False})
    assert (refused.status_code, refused.headers.get_list("set-cookie")) == (400, [])
    used = "SELECT count(*) FROM identity.refresh_tokens WHERE used_at IS NOT NULL"
    assert await identity.database.fetchval(used) == 0
    assert (await identity.refresh(token)).status_code == 200


async def test_a_foreign_page_gets_neither_cookies_nor_tokens(identity: Identity) -> None:
    await identity.add_user()
    body = {"student_id": STUDENT, "password": "iftar-rush-2026", **COOKIES_ALONE}
    refused = await identity.web.post("/v1/login", json=body, headers={"Origin": "https://evil.example"})
    assert (refused.status_code, refused.headers.get_list("set-cookie")) == (403, [])
