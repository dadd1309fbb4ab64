"""A refresh token used twice within ten seconds is two tabs or a lost answer; later it is a copy."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from cafeteria.identity.domain import MAX_SUCCESSORS

if TYPE_CHECKING:
    from conftest import Identity


async def tokens_of(identity: Identity) -> tuple[int, int, bool]:
    """The number of refresh tokens and of families, and whether a family has ended."""
    row = await identity.database.fetchrow(
        "SELECT count(*) AS tokens, count(DISTINCT family) AS families, count(revoked_at) > 0 AS is_ended"
        " FROM identity.refresh_tokens"
    )
    assert row is not None
    return row["tokens"], row["families"], row["is_ended"]


async def make_uses_older(identity: Identity, seconds: float) -> None:
    await identity.database.execute(
        "UPDATE identity.refresh_tokens SET used_at = used_at - make_interval(secs => $1)", seconds
    )


async def signed_in(identity: Identity) -> str:
    await identity.add_user()
    return str((await identity.signed_in())["refresh_token"])


@pytest.mark.parametrize("apart_s", [0.02, 0.05, 0.1, 0.2])
async def test_a_second_tab_gets_a_session_of_the_same_family(identity: Identity, apart_s: float) -> None:
    token = await signed_in(identity)
    first = await identity.refresh(token)
    await asyncio.sleep(apart_s)  # the test is about this distance; it waits for nothing
    second = await identity.refresh(token)
    assert (first.status_code, second.status_code) == (200, 200)
    renewed = [answer.json()["refresh_token"] for answer in (first, second)]
    assert len({token, *renewed}) == 3
    assert await tokens_of(identity) == (3, 1, False)
    assert [(await identity.refresh(each)).status_code for each in renewed] == [200, 200]
    me = await identity.web.get(
        "/v1/me", headers={"Authorization": f"Bearer {second.json()['access_token']}"}
    )
    assert me.status_code == 200


async def test_parallel_refreshes_all_get_a_session(identity: Identity) -> None:
    token = await signed_in(identity)
    # hold the family's lock until all requests wait for it: then they run at the same time
    async with identity.database.transaction():
        await identity.database.execute("SELECT FROM identity.refresh_tokens FOR UPDATE")
        requests = [asyncio.ensure_future(identity.refresh(token)) for _ in range(5)]
        await identity.until_waiting(5)
    answers = await asyncio.gather(*requests)
    assert [answer.status_code for answer in answers] == [200] * 5
    renewed = [answer.json()["refresh_token"] for answer in answers]
    assert len(set(renewed)) == 5
    answers = await asyncio.gather(*map(identity.refresh, renewed))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert await tokens_of(identity) == (11, 1, False)


async def test_a_repeat_counts_from_the_first_use_and_prolongs_nothing(identity: Identity) -> None:
    token = await signed_in(identity)
    await identity.refresh(token)
    await make_uses_older(identity, 5)
    assert (await identity.refresh(token)).status_code == 200
    await make_uses_older(identity, 6)
    assert (await identity.refresh(token)).status_code == 401
    assert (await tokens_of(identity))[2]


async def test_eleven_seconds_later_it_is_a_copy_and_the_whole_family_ends(identity: Identity) -> None:
    token = await signed_in(identity)
    siblings = [(await identity.refresh(token)).json()["refresh_token"] for _ in range(2)]
    await make_uses_older(identity, 11)
    replayed = await identity.refresh(token)
    assert (replayed.status_code, replayed.json()["type"]) == (401, "/problems/unauthenticated")
    assert [(await identity.refresh(each)).status_code for each in siblings] == [401, 401]
    assert await tokens_of(identity) == (3, 1, True)


async def test_parallel_copies_eleven_seconds_later_get_nothing(identity: Identity) -> None:
    token = await signed_in(identity)
    sibling = (await identity.refresh(token)).json()["refresh_token"]
    await make_uses_older(identity, 11)
    answers = await asyncio.gather(*(identity.refresh(token) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [401] * 5
    assert (await identity.refresh(sibling)).status_code == 401
    assert await tokens_of(identity) == (2, 1, True)


async def test_after_a_logout_the_old_token_gives_nothing(identity: Identity) -> None:
    token = await signed_in(identity)
    sibling = (await identity.refresh(token)).json()["refresh_token"]
    await identity.web.post("/v1/logout", json={"refresh_token": sibling})
    assert (await identity.refresh(token)).status_code == 401
    assert (await tokens_of(identity))[0] == 2


async def test_a_logout_among_parallel_refreshes_ends_them_all(identity: Identity) -> None:
    token = await signed_in(identity)
    requests = [identity.refresh(token) for _ in range(4)]
    *answers, _ = await asyncio.gather(
        *requests, identity.web.post("/v1/logout", json={"refresh_token": token})
    )
    renewed = [answer.json()["refresh_token"] for answer in answers if answer.status_code == 200]
    assert [(await identity.refresh(each)).status_code for each in (token, *renewed)] == [401] * (
        1 + len(renewed)
    )


async def test_a_disabled_account_gets_nothing_for_a_repeat(identity: Identity) -> None:
    token = await signed_in(identity)
    await identity.refresh(token)
    await identity.database.execute("UPDATE identity.users SET disabled_at = now()")
    assert (await identity.refresh(token)).status_code == 401
    assert await tokens_of(identity) == (2, 1, True)
    await identity.database.execute("UPDATE identity.users SET disabled_at = NULL")
    assert (await identity.refresh(token)).status_code == 401


async def test_one_token_gives_a_bounded_number_of_sessions_and_ends_none(identity: Identity) -> None:
    token = await signed_in(identity)
    answers = await asyncio.gather(*(identity.refresh(token) for _ in range(MAX_SUCCESSORS + 3)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * MAX_SUCCESSORS + [401] * 3
    assert await tokens_of(identity) == (1 + MAX_SUCCESSORS, 1, False)
    renewed = next(answer.json()["refresh_token"] for answer in answers if answer.status_code == 200)
    assert (await identity.refresh(renewed)).status_code == 200


async def test_two_tabs_with_one_cookie_both_stay_signed_in(identity: Identity) -> None:
    await identity.add_user()
    await identity.login(cookie=True)
    cookie = {"Cookie": f"cafeteria_refresh={identity.web.cookies['cafeteria_refresh']}"}
    tabs = [identity.another_client() for _ in range(2)]
    answers = [await tab.post("/v1/token/refresh", headers=cookie) for tab in tabs]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [(await tab.get("/v1/me")).status_code for tab in tabs] == [200, 200]
