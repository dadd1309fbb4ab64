"""A signed-in person reads their own account."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cafeteria.contracts.values import Role
from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Identity


async def test_a_person_reads_their_own_account(identity: Identity) -> None:
    await identity.add_user("kitchen-9", role="kitchen", full_name="Rumana")
    token = (await identity.signed_in("kitchen-9"))["access_token"]
    me = await identity.web.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert me.status_code == 200
    person = me.json()
    assert 880 <= person.pop("expires_in") <= 900
    assert person == {"student_id": "kitchen-9", "role": "kitchen", "full_name": "Rumana"}


async def test_the_answer_tells_how_long_its_own_token_lives(identity: Identity, tokens: Tokens) -> None:
    await identity.add_user()
    for left_s, least, most in ((100, 80, 100), (0, 0, 0), (-10, 0, 0)):  # clocks may differ by 30 s
        token = tokens.sign("210041101", Role.STUDENT, lifetime=timedelta(seconds=left_s))
        me = await identity.web.get("/v1/me", headers=tokens.header(token))
        assert least <= me.json()["expires_in"] <= most


async def test_a_token_without_an_account_reads_nothing(identity: Identity, tokens: Tokens) -> None:
    assert (await identity.web.get("/v1/me")).status_code == 401
    unknown = await identity.web.get("/v1/me", headers=tokens.header(tokens.student("nobody-1")))
    assert unknown.status_code == 401
