"""A person ends one of their sessions, an operator all of a student: tokens and refresh tokens are refused at once."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from cafeteria.chassis.runtime.ids import new_id
from cafeteria.identity import domain
from cafeteria.identity.repository import log_in
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from cafeteria.testkit.tokens import Tokens
    from conftest import Identity


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def session_of(identity: Identity, tokens: dict[str, Any]) -> str:
    items = (await identity.web.get("/v1/me/sessions", headers=bearer(tokens))).json()["items"]
    [current] = [item["id"] for item in items if item["is_current"]]
    return str(current)


async def is_refused(identity: Identity, tokens: dict[str, Any]) -> bool:
    answer = await identity.web.get("/v1/me", headers=bearer(tokens))
    if answer.status_code == 401:
        assert answer.json()["detail"] == "This session was ended: sign in again."
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    return answer.status_code == 401


async def test_an_ended_session_is_refused_and_the_others_go_on(identity: Identity) -> None:
    await identity.add_user()
    phone, desk = await identity.signed_in(), await identity.signed_in()
    phone_session = await session_of(identity, phone)
    for _ in range(2):
        answer = await identity.web.delete(f"/v1/me/sessions/{phone_session}", headers=bearer(desk))
        assert (answer.status_code, answer.content) == (204, b"")
    await until(lambda: is_refused(identity, phone))
    assert (await identity.refresh(phone["refresh_token"])).status_code == 401
    assert not await is_refused(identity, desk)
    assert (await identity.refresh(desk["refresh_token"])).status_code == 200


async def test_a_person_may_end_the_session_in_use(identity: Identity) -> None:
    await identity.add_user()
    tokens = await identity.signed_in()
    path = f"/v1/me/sessions/{await session_of(identity, tokens)}"
    assert (await identity.web.delete(path, headers=bearer(tokens))).status_code == 204
    await until(lambda: is_refused(identity, tokens))
    assert not await is_refused(identity, await identity.signed_in())


async def test_the_session_of_another_person_is_not_found_and_goes_on(identity: Identity) -> None:
    await identity.add_user()
    await identity.add_user("210041102")
    mine, theirs = await identity.signed_in(), await identity.signed_in("210041102")
    for session in (await session_of(identity, theirs), str(new_id())):
        answer = await identity.web.delete(f"/v1/me/sessions/{session}", headers=bearer(mine))
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    assert (await identity.refresh(theirs["refresh_token"])).status_code == 200


async def test_a_later_token_of_a_session_names_no_session_of_its_own(identity: Identity) -> None:
    await identity.add_user()
    tokens = (await identity.refresh((await identity.signed_in())["refresh_token"])).json()
    newest = await identity.database.fetchval("SELECT id FROM identity.refresh_tokens WHERE id <> family")
    answer = await identity.web.delete(f"/v1/me/sessions/{newest}", headers=bearer(tokens))
    assert answer.status_code == 404


async def test_a_page_of_another_site_ends_no_session(identity: Identity) -> None:
    await identity.add_user()
    signed_in = await identity.login(cookie=True)
    tokens = signed_in.json()
    path = f"/v1/me/sessions/{await session_of(identity, tokens)}"
    evil = {"Origin": "https://evil.example", "Cookie": f"cafeteria_access={tokens['access_token']}"}
    assert (await identity.web.delete(path, headers=evil)).status_code == 403
    assert not await is_refused(identity, tokens)


async def test_an_operator_ends_all_sessions_of_a_student(identity: Identity, tokens: Tokens) -> None:
    await identity.add_user()
    await identity.add_user("210041102")
    both, other = [await identity.signed_in() for _ in range(2)], await identity.signed_in("210041102")
    operator = tokens.header(tokens.operator())
    path = "/v1/students/210041101/sessions"
    assert (await identity.web.delete(path, headers=bearer(other))).status_code == 403
    for _ in range(2):
        assert (await identity.web.delete(path, headers=operator)).status_code == 204
    for each in both:
        await until(partial(is_refused, identity, each))
        assert (await identity.refresh(each["refresh_token"])).status_code == 401
    assert not await is_refused(identity, other)
    unknown = await identity.web.delete("/v1/students/210041999/sessions", headers=operator)
    assert unknown.status_code == 404


async def test_a_logout_ends_the_access_token_too(identity: Identity) -> None:
    await identity.add_user()
    first = await identity.signed_in()
    second = (await identity.refresh(first["refresh_token"])).json()
    await identity.web.post("/v1/logout", json={"refresh_token": second["refresh_token"]})
    for each in (first, second):
        await until(partial(is_refused, identity, each))


async def test_a_copied_refresh_token_ends_the_access_tokens_too(identity: Identity) -> None:
    await identity.add_user()
    first = await identity.signed_in()
    second = (await identity.refresh(first["refresh_token"])).json()
    await identity.database.execute("UPDATE identity.refresh_tokens SET used_at = used_at - interval '11 s'")
    assert (await identity.refresh(first["refresh_token"])).status_code == 401
    await until(lambda: is_refused(identity, second))


async def test_a_login_above_the_limit_ends_the_oldest_session(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert domain.MAX_LIVE_SESSIONS == 100
    monkeypatch.setattr(log_in, "MAX_LIVE_SESSIONS", 2)
    await identity.add_user()
    first, second, third = [await identity.signed_in() for _ in range(3)]
    await until(lambda: is_refused(identity, first))
    assert (await identity.refresh(first["refresh_token"])).status_code == 401
    assert not await is_refused(identity, second)
    assert not await is_refused(identity, third)


async def test_a_refresh_during_the_end_of_its_session_gives_nothing_that_lasts(identity: Identity) -> None:
    """Whichever comes first, the access token that a client holds afterwards is refused."""
    await identity.add_user()
    for _ in range(3):
        tokens = await identity.signed_in()
        path = f"/v1/me/sessions/{await session_of(identity, tokens)}"
        renewed, ended = await asyncio.gather(
            identity.refresh(tokens["refresh_token"]), identity.web.delete(path, headers=bearer(tokens))
        )
        assert ended.status_code == 204
        if renewed.status_code == 200:
            await until(partial(is_refused, identity, renewed.json()))
            assert (await identity.refresh(renewed.json()["refresh_token"])).status_code == 401
        await identity.forget_windows()
