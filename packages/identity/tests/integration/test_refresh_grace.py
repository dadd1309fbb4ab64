"""A refresh token that comes twice within ten seconds is two tabs or a lost answer; later it is a copy."""

import asyncio
from typing import Any

import pytest

from cafeteria.identity.domain import MAX_SUCCESSORS


async def tokens_of(desk: Any) -> tuple[int, int, bool]:
    """How many refresh tokens there are, in how many families, and whether one of these was ended."""
    row = await desk.books.fetchrow(
        "SELECT count(*) AS tokens, count(DISTINCT family) AS families, count(revoked_at) > 0 AS is_ended"
        " FROM identity.refresh_tokens"
    )
    return row["tokens"], row["families"], row["is_ended"]


async def make_uses_older(desk: Any, seconds: float) -> None:
    await desk.books.execute(
        "UPDATE identity.refresh_tokens SET used_at = used_at - make_interval(secs => $1)", seconds
    )


async def signed_in(desk: Any) -> str:
    await desk.add_user()
    return str((await desk.signed_in())["refresh_token"])


@pytest.mark.parametrize("apart_s", [0.02, 0.05, 0.1, 0.2])
async def test_a_second_tab_gets_a_session_of_the_same_family(desk: Any, apart_s: float) -> None:
    token = await signed_in(desk)
    first = await desk.refresh(token)
    await asyncio.sleep(apart_s)  # what is tested is this distance, nothing is waited for
    second = await desk.refresh(token)
    assert (first.status_code, second.status_code) == (200, 200)
    renewed = [answer.json()["refresh_token"] for answer in (first, second)]
    assert len({token, *renewed}) == 3
    assert await tokens_of(desk) == (3, 1, False)
    assert [(await desk.refresh(each)).status_code for each in renewed] == [200, 200]
    me = await desk.web.get("/v1/me", headers={"Authorization": f"Bearer {second.json()['access_token']}"})
    assert me.status_code == 200


async def test_parallel_refreshes_all_get_a_session(desk: Any) -> None:
    token = await signed_in(desk)
    # hold the family's lock until all of them wait for it: then they truly ran alongside
    async with desk.books.transaction():
        await desk.books.execute("SELECT FROM identity.refresh_tokens FOR UPDATE")
        asked = [asyncio.ensure_future(desk.refresh(token)) for _ in range(5)]
        await until_waiting(desk, 5)
    answers = await asyncio.gather(*asked)
    assert [answer.status_code for answer in answers] == [200] * 5
    renewed = [answer.json()["refresh_token"] for answer in answers]
    assert len(set(renewed)) == 5
    answers = await asyncio.gather(*map(desk.refresh, renewed))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert await tokens_of(desk) == (11, 1, False)


async def until_waiting(desk: Any, number: int) -> None:
    """Until so many of identity's connections wait for a lock."""
    async with asyncio.timeout(10):
        while number > await desk.books.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'identity' AND wait_event_type = 'Lock'"
        ):
            # within a transaction the activity view stands still until it is told to look again
            await desk.books.execute("SELECT pg_stat_clear_snapshot()")
            await asyncio.sleep(0.01)


async def test_a_repeat_counts_from_the_first_use_and_prolongs_nothing(desk: Any) -> None:
    token = await signed_in(desk)
    await desk.refresh(token)
    await make_uses_older(desk, 5)
    assert (await desk.refresh(token)).status_code == 200
    await make_uses_older(desk, 6)
    assert (await desk.refresh(token)).status_code == 401
    assert (await tokens_of(desk))[2]


async def test_eleven_seconds_later_it_is_a_copy_and_the_whole_family_ends(desk: Any) -> None:
    token = await signed_in(desk)
    siblings = [(await desk.refresh(token)).json()["refresh_token"] for _ in range(2)]
    await make_uses_older(desk, 11)
    replayed = await desk.refresh(token)
    assert (replayed.status_code, replayed.json()["type"]) == (401, "/problems/unauthenticated")
    assert [(await desk.refresh(each)).status_code for each in siblings] == [401, 401]
    assert await tokens_of(desk) == (3, 1, True)


async def test_parallel_copies_eleven_seconds_later_get_nothing(desk: Any) -> None:
    token = await signed_in(desk)
    sibling = (await desk.refresh(token)).json()["refresh_token"]
    await make_uses_older(desk, 11)
    answers = await asyncio.gather(*(desk.refresh(token) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [401] * 5
    assert (await desk.refresh(sibling)).status_code == 401
    assert await tokens_of(desk) == (2, 1, True)


async def test_after_a_logout_the_old_token_gives_nothing(desk: Any) -> None:
    token = await signed_in(desk)
    sibling = (await desk.refresh(token)).json()["refresh_token"]
    await desk.web.post("/v1/logout", json={"refresh_token": sibling})
    assert (await desk.refresh(token)).status_code == 401
    assert (await tokens_of(desk))[0] == 2


async def test_a_logout_among_parallel_refreshes_ends_them_all(desk: Any) -> None:
    token = await signed_in(desk)
    asked = [desk.refresh(token) for _ in range(4)]
    *answers, _ = await asyncio.gather(*asked, desk.web.post("/v1/logout", json={"refresh_token": token}))
    renewed = [answer.json()["refresh_token"] for answer in answers if answer.status_code == 200]
    assert [(await desk.refresh(each)).status_code for each in (token, *renewed)] == [401] * (
        1 + len(renewed)
    )


async def test_a_disabled_account_gets_nothing_for_a_repeat(desk: Any) -> None:
    token = await signed_in(desk)
    await desk.refresh(token)
    await desk.books.execute("UPDATE identity.users SET disabled_at = now()")
    assert (await desk.refresh(token)).status_code == 401
    assert await tokens_of(desk) == (2, 1, False)


async def test_one_token_gives_a_bounded_number_of_sessions_and_ends_none(desk: Any) -> None:
    token = await signed_in(desk)
    answers = await asyncio.gather(*(desk.refresh(token) for _ in range(MAX_SUCCESSORS + 3)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * MAX_SUCCESSORS + [401] * 3
    assert await tokens_of(desk) == (1 + MAX_SUCCESSORS, 1, False)
    renewed = next(answer.json()["refresh_token"] for answer in answers if answer.status_code == 200)
    assert (await desk.refresh(renewed)).status_code == 200


async def test_two_tabs_with_one_cookie_both_stay_signed_in(desk: Any) -> None:
    await desk.add_user()
    await desk.login(cookie=True)
    cookie = {"Cookie": f"cafeteria_refresh={desk.web.cookies['cafeteria_refresh']}"}
    tabs = [desk.another_client() for _ in range(2)]
    answers = [await tab.post("/v1/token/refresh", headers=cookie) for tab in tabs]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [(await tab.get("/v1/me")).status_code for tab in tabs] == [200, 200]
