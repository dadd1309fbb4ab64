"""People change their password: with the old one, within the limits of a login, and all other sessions end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Identity, OpenIdentity

OLD, NEW = "iftar-rush-2026", "a-password-of-my-own"


async def change(
    identity: Identity, token: str, *, old: str = OLD, new: str = NEW, web: httpx.AsyncClient | None = None
) -> httpx.Response:
    return await (web or identity.web).put(
        "/v1/me/password",
        json={"old_password": old, "new_password": new},
        headers={"Authorization": f"Bearer {token}"},
    )


async def is_signed_in(identity: Identity, tokens: dict[str, Any]) -> bool:
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    answer = await identity.web.get("/v1/me", headers=header)
    return answer.status_code == 200


async def test_the_new_password_signs_in_and_the_old_one_does_not(identity: Identity) -> None:
    await identity.add_user()
    mine = await identity.signed_in()
    answer = await change(identity, mine["access_token"])
    assert (answer.status_code, answer.content) == (204, b"")
    await identity.forget_windows()
    assert (await identity.login(password=OLD)).status_code == 401
    assert (await identity.login(password=NEW)).status_code == 200


async def test_all_other_sessions_end_and_the_own_one_goes_on(identity: Identity, wait_until: Any) -> None:
    await identity.add_user()
    mine, other = await identity.signed_in(), await identity.signed_in()
    assert (await change(identity, mine["access_token"])).status_code == 204

    async def other_is_refused() -> bool:
        return not await is_signed_in(identity, other)

    await wait_until(other_is_refused)
    assert (await identity.refresh(other["refresh_token"])).status_code == 401
    assert await is_signed_in(identity, mine)
    assert (await identity.refresh(mine["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (OLD, "the password that you have now"),
        ("password123", "one of the most used passwords"),
        ("Password1", "one of the most used passwords"),
        ("210041101", "the student id"),
        ("short", "new_password"),
        ("x" * 257, "new_password"),
    ],
)
async def test_a_password_that_cannot_be_used_changes_nothing_and_costs_no_attempt(
    identity: Identity, new: str, why: str
) -> None:
    await identity.add_user()
    mine = await identity.signed_in()
    await identity.forget_windows()
    for _ in range(4):
        answer = await change(identity, mine["access_token"], new=new)
        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
        assert why in answer.text
        assert new not in answer.text or new == "210041101"
    assert (await identity.login()).status_code == 200


async def test_wrong_old_passwords_count_as_wrong_logins_do(identity: Identity) -> None:
    await identity.add_user()
    mine = await identity.signed_in()
    await identity.forget_windows()
    for _ in range(3):
        answer = await change(identity, mine["access_token"], old="a-wrong-guess")
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/wrong-password")
    throttled = await change(identity, mine["access_token"])
    assert (throttled.status_code, throttled.json()["type"]) == (429, "/problems/too-many-attempts")
    assert 1 <= int(throttled.headers["Retry-After"]) <= 60
    assert (await identity.login()).status_code == 429
    audit = [outcome for _, outcome, _ in await identity.attempts()]
    assert audit.count("wrong_password") == 3
    assert await is_signed_in(identity, mine)


async def test_of_two_changes_at_once_one_wins(open_identity: OpenIdentity) -> None:
    identity = await open_identity(logins_per_client=30)
    await identity.add_user()
    mine = await identity.signed_in()
    passwords = [f"{NEW}-{number}" for number in range(4)]
    answers = await asyncio.gather(*(change(identity, mine["access_token"], new=each) for each in passwords))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [204, 403, 403, 403]
    [winner] = [password for password, answer in zip(passwords, answers, strict=True) if answer.is_success]
    assert (await identity.login(password=winner)).status_code == 200


async def test_a_login_with_the_old_password_that_ran_meanwhile_opens_no_session(
    open_identity: OpenIdentity,
) -> None:
    """However the two meet, nobody is signed in with the old password after the change."""
    identity = await open_identity(logins_per_client=30)
    await identity.add_user()
    mine = await identity.signed_in()
    changed, *logins = await asyncio.gather(
        change(identity, mine["access_token"]), *(identity.login() for _ in range(6))
    )
    assert changed.status_code == 204
    for login in logins:
        if login.status_code == 200:
            assert (await identity.refresh(login.json()["refresh_token"])).status_code == 401


async def test_only_who_is_signed_in_changes_a_password(identity: Identity) -> None:
    await identity.add_user()
    body = {"old_password": OLD, "new_password": NEW}
    assert (await identity.web.put("/v1/me/password", json=body)).status_code == 401
    assert (await identity.login()).status_code == 200


async def test_a_foreign_page_cannot_change_it_by_cookie(identity: Identity) -> None:
    await identity.add_user()
    await identity.signed_in(cookie=True)
    answer = await identity.web.put(
        "/v1/me/password",
        json={"old_password": OLD, "new_password": NEW},
        headers={"Origin": "https://evil.example"},
    )
    assert answer.status_code == 403
    assert (await identity.login()).status_code == 200
