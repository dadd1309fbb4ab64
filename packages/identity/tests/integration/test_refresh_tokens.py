"""Refresh tokens: each gives a successor, and a copied one ends its session."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Identity


async def is_family_revoked(identity: Identity) -> bool:
    return bool(
        await identity.database.fetchval(
            "SELECT count(*) FROM identity.refresh_tokens WHERE revoked_at IS NOT NULL AND id = family"
        )
    )


async def test_a_refresh_gives_new_tokens(identity: Identity) -> None:
    await identity.add_user()
    first = await identity.signed_in()
    answer = await identity.refresh(first["refresh_token"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    me = await identity.web.get("/v1/me", headers={"Authorization": f"Bearer {second['access_token']}"})
    assert me.json()["student_id"] == "210041101"
    assert (await identity.refresh(second["refresh_token"])).status_code == 200


async def test_only_the_hash_of_a_token_is_kept(identity: Identity) -> None:
    await identity.add_user()
    token = (await identity.signed_in())["refresh_token"]
    kept = await identity.database.fetchval("SELECT token_hash FROM identity.refresh_tokens")
    assert kept == sha256(token.encode()).digest()


async def test_a_used_token_that_is_sent_again_later_ends_its_family(identity: Identity) -> None:
    await identity.add_user()
    first = (await identity.signed_in())["refresh_token"]
    second = (await identity.refresh(first)).json()["refresh_token"]
    third = (await identity.refresh(second)).json()["refresh_token"]
    await identity.database.execute("UPDATE identity.refresh_tokens SET used_at = used_at - interval '11 s'")
    replayed = await identity.refresh(first)
    assert replayed.status_code == 401
    assert replayed.json()["type"] == "/problems/unauthenticated"
    assert await is_family_revoked(identity)
    assert (await identity.refresh(third)).status_code == 401


async def test_another_family_of_the_same_student_remains_valid(identity: Identity) -> None:
    await identity.add_user()
    stolen, other = (
        (await identity.signed_in())["refresh_token"],
        (await identity.signed_in())["refresh_token"],
    )
    await identity.refresh(stolen)
    await identity.database.execute("UPDATE identity.refresh_tokens SET used_at = used_at - interval '11 s'")
    assert (await identity.refresh(stolen)).status_code == 401
    assert (await identity.refresh(other)).status_code == 200


async def test_a_session_expires(identity: Identity) -> None:
    await identity.add_user()
    token = (await identity.signed_in())["refresh_token"]
    token = (await identity.refresh(token)).json()["refresh_token"]
    await identity.database.execute(
        "UPDATE identity.refresh_tokens SET created_at = created_at - interval '30 days',"
        " expires_at = expires_at - interval '30 days'"
    )
    assert (await identity.refresh(token)).status_code == 401


async def test_renewing_does_not_prolong_a_session(identity: Identity) -> None:
    await identity.add_user()
    await identity.refresh((await identity.signed_in())["refresh_token"])
    ends = await identity.database.fetch("SELECT DISTINCT expires_at FROM identity.refresh_tokens")
    assert len(ends) == 1


async def test_a_disabled_student_gets_no_tokens_and_no_profile(identity: Identity) -> None:
    await identity.add_user()
    tokens = await identity.signed_in()
    await identity.database.execute("UPDATE identity.users SET disabled_at = now()")
    assert (await identity.refresh(tokens["refresh_token"])).status_code == 401
    me = await identity.web.get("/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert me.status_code == 401


async def test_the_next_refresh_gives_a_token_of_the_new_role(identity: Identity) -> None:
    await identity.add_user()
    tokens = await identity.signed_in()
    await identity.database.execute("UPDATE identity.users SET role = 'operator'")
    renewed = (await identity.refresh(tokens["refresh_token"])).json()["access_token"]
    answer = await identity.web.post(
        "/v1/students",
        json={"student_id": "210041102", "password": "long-enough"},
        headers={"Authorization": f"Bearer {renewed}"},
    )
    assert answer.status_code == 201


async def test_unknown_and_absent_tokens_are_refused(identity: Identity) -> None:
    for body in ({"refresh_token": "made-up"}, {"refresh_token": ""}, {}, None):
        answer = await identity.web.post("/v1/token/refresh", json=body)
        assert answer.status_code == 401, body
    assert (await identity.web.post("/v1/token/refresh")).status_code == 401
