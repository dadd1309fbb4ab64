"""A person sees the devices that are signed in, and an operator those of a student."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from cafeteria.testkit.tokens import Tokens
    from conftest import Identity, OpenIdentity

PHONE = "Mozilla/5.0 (Android 16; Mobile)"


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def sessions_of(identity: Identity, tokens: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await identity.web.get("/v1/me/sessions", headers=bearer(tokens))
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def phone_of(identity: Identity, user_agent: str = PHONE) -> httpx.AsyncClient:
    client = identity.another_client(address="192.0.2.7")
    client.headers["User-Agent"] = user_agent
    return client


async def test_a_person_recognises_each_device(open_identity: OpenIdentity) -> None:
    identity = await open_identity(IDENTITY_TRUSTED_PROXIES="127.0.0.1")
    await identity.add_user()
    phone = await identity.signed_in(web=phone_of(identity))
    desk = await identity.signed_in(web=identity.another_client(address="2001:db8::1"))
    newest, oldest = await sessions_of(identity, phone)
    assert (oldest["is_current"], oldest["client_ip"], oldest["user_agent"]) == (True, "192.0.2.7", PHONE)
    assert (newest["is_current"], newest["client_ip"]) == (False, "2001:db8::1")
    assert [each["is_current"] for each in await sessions_of(identity, desk)] == [True, False]
    assert set(newest) == {
        *("id", "created_at", "last_used_at", "expires_at", "is_current", "client_ip", "user_agent")
    }


async def test_a_refresh_is_the_last_use_and_puts_off_the_end(identity: Identity) -> None:
    await identity.add_user()
    tokens = await identity.signed_in()
    await identity.database.execute(
        "UPDATE identity.refresh_tokens SET created_at = created_at - interval '3 days',"
        " last_used_at = last_used_at - interval '3 days', expires_at = expires_at - interval '3 days'"
    )
    [before] = await sessions_of(identity, tokens)
    renewed = (await identity.refresh(tokens["refresh_token"])).json()
    [after] = await sessions_of(identity, renewed)
    assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])
    assert before["last_used_at"] == before["created_at"]
    moved = [time_of(after[name]) - time_of(before[name]) for name in ("last_used_at", "expires_at")]
    assert moved[0] == moved[1] > timedelta(days=3)
    assert time_of(after["expires_at"]) - time_of(after["last_used_at"]) == timedelta(days=7)


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


async def test_a_session_lives_thirty_days_however_often_it_is_refreshed(identity: Identity) -> None:
    await identity.add_user()
    tokens = await identity.signed_in()
    await identity.database.execute(
        "UPDATE identity.refresh_tokens SET created_at = created_at - interval '29 days',"
        " expires_at = expires_at - interval '29 days'"
    )
    renewed = (await identity.refresh(tokens["refresh_token"])).json()
    [session] = await sessions_of(identity, renewed)
    assert time_of(session["expires_at"]) - time_of(session["created_at"]) == timedelta(days=30)


async def test_a_session_ends_after_seven_days_without_a_refresh(identity: Identity) -> None:
    await identity.add_user()
    tokens = await identity.signed_in()
    await identity.database.execute(
        "UPDATE identity.refresh_tokens SET last_used_at = last_used_at - interval '7 days'"
    )
    assert await sessions_of(identity, tokens) == []
    assert (await identity.refresh(tokens["refresh_token"])).status_code == 401


async def test_a_setting_decides_how_long_a_session_may_be_unused(open_identity: OpenIdentity) -> None:
    identity = await open_identity(IDENTITY_SESSION_IDLE_S="120")
    await identity.add_user()
    signed_in = await identity.login(cookie=True)
    [cookie] = [each for each in signed_in.headers.get_list("set-cookie") if "cafeteria_refresh=" in each]
    assert "Max-Age=120" in cookie
    await identity.database.execute(
        "UPDATE identity.refresh_tokens SET last_used_at = last_used_at - interval '120 s'"
    )
    assert (await identity.refresh(signed_in.json()["refresh_token"])).status_code == 401


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Firefox/150", "Firefox/150"),
        ("A" * 300, "A" * 200),
        ("tab\there", "tabhere"),
        ("café \x85\xa0", "café"),
        ("", None),
        ("\x85", None),
    ],
)
async def test_of_the_user_agent_200_printable_characters_are_kept(
    identity: Identity, sent: str, kept: str | None
) -> None:
    await identity.add_user()
    answer = await identity.web.post(
        "/v1/login",
        json={"student_id": "210041101", "password": "iftar-rush-2026"},
        headers={"User-Agent": sent.encode("latin-1")},  # type: ignore[dict-item]  # bytes as they are sent
    )
    [session] = await sessions_of(identity, answer.json())
    assert session["user_agent"] == kept


async def test_ended_and_expired_sessions_are_not_listed(identity: Identity) -> None:
    await identity.add_user()
    gone, expired, live = [await identity.signed_in() for _ in range(3)]
    await identity.web.post("/v1/logout", json={"refresh_token": gone["refresh_token"]})
    await identity.database.execute(
        "UPDATE identity.refresh_tokens SET created_at = created_at - interval '31 days',"
        " expires_at = expires_at - interval '31 days' WHERE token_hash = sha256($1)",
        expired["refresh_token"].encode(),
    )
    await identity.forget_windows()
    assert [each["is_current"] for each in await sessions_of(identity, live)] == [True]


async def test_an_operator_sees_the_sessions_of_anybody(identity: Identity, tokens: Tokens) -> None:
    await identity.add_user()
    mine = await identity.signed_in()
    operator = tokens.header(tokens.operator())
    path = "/v1/students/210041101/sessions"
    answer = await identity.web.get(path, headers=operator)
    [session] = answer.json()["items"]
    [own] = await sessions_of(identity, mine)
    assert session == {**own, "is_current": False}
    assert (await identity.web.get(path, headers=bearer(mine))).status_code == 403
    for unknown in ("210041999", "nobody%00", "a b", "x" * 33):
        answer = await identity.web.get(f"/v1/students/{unknown}/sessions", headers=operator)
        assert answer.status_code in {400, 404}, unknown


async def test_nobody_without_an_account_has_sessions(identity: Identity, tokens: Tokens) -> None:
    answer = await identity.web.get("/v1/me/sessions", headers=tokens.header(tokens.student("210041999")))
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")
    assert (await identity.web.get("/v1/me/sessions")).status_code == 401
