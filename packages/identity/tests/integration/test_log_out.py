"""A logout ends a session, and never fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Identity


async def test_a_logout_ends_the_session(identity: Identity) -> None:
    await identity.add_user()
    first = (await identity.signed_in())["refresh_token"]
    second = (await identity.refresh(first)).json()["refresh_token"]
    answer = await identity.web.post("/v1/logout", json={"refresh_token": first})
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await identity.refresh(second)).status_code == 401


async def test_a_logout_always_succeeds(identity: Identity) -> None:
    await identity.add_user()
    token = (await identity.signed_in())["refresh_token"]
    for body in ({"refresh_token": token}, {"refresh_token": token}, {"refresh_token": "made-up"}, {}):
        assert (await identity.web.post("/v1/logout", json=body)).status_code == 204
    assert (await identity.web.post("/v1/logout")).status_code == 204
