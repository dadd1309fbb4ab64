"""A one-time password signs in only together with a new password, and only for a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Identity

STUDENT, NEW = "210041101", "a-password-of-my-own"


async def reset(identity: Identity, tokens: Tokens, student_id: str = STUDENT) -> httpx.Response:
    path = f"/v1/students/{student_id}/reset-password"
    return await identity.web.post(path, headers=tokens.header(tokens.operator()))


@pytest.fixture
async def one_time(identity: Identity, tokens: Tokens) -> str:
    """The one-time password of a student."""
    await identity.add_user()
    answer = await reset(identity, tokens)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["one_time_password"])


async def test_it_is_answered_once_and_stored_nowhere_but_as_a_hash(
    identity: Identity, tokens: Tokens
) -> None:
    await identity.add_user()
    first, second = await reset(identity, tokens), await reset(identity, tokens)
    assert first.headers["Cache-Control"] == "no-store"
    assert set(first.json()) == {"one_time_password", "expires_at"}
    assert first.json()["one_time_password"] != second.json()["one_time_password"]
    [row] = await identity.database.fetch("SELECT * FROM identity.users")
    assert row["password_hash"].startswith("$argon2id$")
    assert second.json()["one_time_password"] not in str(dict(row))
    assert 23.9 < (row["one_time_until"] - row["updated_at"]).total_seconds() / 3600 < 24.1
    await identity.forget_windows()
    assert (await identity.login(password=first.json()["one_time_password"])).status_code == 401


async def test_alone_it_gives_no_token(identity: Identity, one_time: str) -> None:
    answer = await identity.login(password=one_time)
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/password-change-required")
    assert "new_password" in answer.json()["detail"]
    assert "Set-Cookie" not in answer.headers
    assert await identity.attempts() == [(STUDENT, "password_change_required", False)]


async def test_with_a_new_password_it_signs_in_once(identity: Identity, one_time: str) -> None:
    signed_in = await identity.login(password=one_time, new_password=NEW)
    assert signed_in.status_code == 200
    await identity.forget_windows()
    assert (await identity.login(password=one_time)).status_code == 401
    assert (await identity.login(password=one_time, new_password=f"{NEW}-2")).status_code == 401
    assert (await identity.login(password=NEW)).status_code == 200
    assert await identity.database.fetchval("SELECT one_time_until FROM identity.users") is None


async def test_a_new_password_that_cannot_be_used_leaves_it_as_it_is(
    identity: Identity, one_time: str
) -> None:
    for unusable in (one_time, STUDENT, "password", "short"):
        answer = await identity.login(password=one_time, new_password=unusable)
        assert answer.status_code == 400, unusable
        assert "new_password" in answer.text
    assert (await identity.login(password=one_time, new_password=NEW)).status_code == 200


async def test_after_a_day_it_has_ended(identity: Identity, one_time: str) -> None:
    await identity.database.execute("UPDATE identity.users SET one_time_until = now() - interval '1 second'")
    for answer in (
        await identity.login(password=one_time),
        await identity.login(password=one_time, new_password=NEW),
    ):
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/invalid-credentials")
        assert "expired" in answer.json()["detail"]
    wrong = await identity.login(password="a-wrong-guess")
    assert "expired" not in wrong.json()["detail"], "only who has the password learns that"


async def test_a_reset_ends_all_sessions(identity: Identity, tokens: Tokens, wait_until: Any) -> None:
    await identity.add_user()
    session = await identity.signed_in()
    assert (await reset(identity, tokens)).status_code == 200
    assert (await identity.refresh(session["refresh_token"])).status_code == 401
    header = {"Authorization": f"Bearer {session['access_token']}"}

    async def is_refused() -> bool:
        return bool((await identity.web.get("/v1/me", headers=header)).status_code == 401)

    await wait_until(is_refused)
    assert (await identity.login()).status_code == 401


async def test_a_wrong_password_with_a_new_one_changes_nothing(identity: Identity, one_time: str) -> None:
    assert (await identity.login(password="a-wrong-guess", new_password=NEW)).status_code == 401
    assert (await identity.login(password=one_time, new_password=NEW)).status_code == 200


async def test_a_login_may_replace_any_password_and_ends_other_sessions(identity: Identity) -> None:
    await identity.add_user()
    other = await identity.signed_in()
    assert (await identity.login(new_password=NEW)).status_code == 200
    assert (await identity.refresh(other["refresh_token"])).status_code == 401
    await identity.forget_windows()
    assert (await identity.login(password=NEW)).status_code == 200


async def test_a_disabled_account_stays_disabled(identity: Identity, tokens: Tokens) -> None:
    await identity.add_user(disabled=True)
    one_time = (await reset(identity, tokens)).json()["one_time_password"]
    answer = await identity.login(password=one_time, new_password=NEW)
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/invalid-credentials")


async def test_only_operators_reset_and_not_their_own(identity: Identity, tokens: Tokens) -> None:
    await identity.add_user()
    await identity.add_user("operator-1", role="operator")
    path = f"/v1/students/{STUDENT}/reset-password"
    for token in (tokens.student(), tokens.kitchen()):
        assert (await identity.web.post(path, headers=tokens.header(token))).status_code == 403
    assert (await identity.web.post(path)).status_code == 401
    assert (await reset(identity, tokens, "operator-1")).status_code == 409
    assert (await identity.login()).status_code == 200


@pytest.mark.parametrize("student_id", ["999999999", "no_id", "x" * 33])
async def test_an_unknown_account_is_not_found(identity: Identity, tokens: Tokens, student_id: str) -> None:
    answer = await reset(identity, tokens, student_id)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
