"""A device that has signed in before signs in again while others guess the password or exhaust its network."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from conftest import Identity, OpenIdentity

OTHER = "210041102"
DEVICE, REFRESH = "cafeteria_device", "cafeteria_refresh"


@pytest.fixture
async def attacked(open_identity: OpenIdentity) -> Identity:
    """Five attempts a minute for a student id from unknown devices, and four failures for a network."""
    identity = await open_identity(
        logins_per_student=5, failures_per_client=4, trusted_proxies=("127.0.0.1",)
    )
    await identity.add_user()
    await identity.add_user(OTHER)
    return identity


async def guess(identity: Identity) -> None:
    """Try wrong passwords from five addresses until the limit of the student id refuses them."""
    addresses = [f"203.0.113.{number}" for number in range(5)]
    clients = [identity.another_client(address=address) for address in addresses]
    answers = [await identity.login(password="wrong", web=web) for web in clients * 2]
    assert 429 in {answer.status_code for answer in answers[:5]}
    assert {answer.status_code for answer in answers[5:]} == {429}


async def cookies_of(identity: Identity, student_id: str = "210041101") -> httpx.Cookies:
    answer = await identity.login(student_id, cookie=True, web=identity.another_client(address="10.0.0.9"))
    assert answer.status_code == 200, answer.text
    return answer.cookies


async def login_with(identity: Identity, name: str, value: str, **more: Any) -> int:
    web = identity.another_client(address="192.0.2.7")
    web.headers["Cookie"] = f"{name}={value}"
    return (await identity.login(web=web, **more)).status_code


async def test_a_known_device_signs_in_during_an_attack_and_a_new_one_is_told_when(
    attacked: Identity,
) -> None:
    known = attacked.another_client(address="198.51.100.7")
    await attacked.signed_in(web=known)
    await guess(attacked)
    assert (await attacked.login(web=known)).status_code == 200
    refused = await attacked.login(web=attacked.another_client(address="198.51.100.8"))
    wait = int(refused.headers["retry-after"])
    assert (refused.status_code, 1 <= wait <= 60) == (429, True)
    assert refused.json()["detail"] == (
        f"Too many sign-ins were tried for this student id. Try again in {wait} s; this one was not counted."
        " A device on which you have signed in before need not wait."
    )


async def test_a_known_device_has_its_own_limit_in_all_its_copies(attacked: Identity) -> None:
    cookies = await cookies_of(attacked)
    answers = [await login_with(attacked, DEVICE, cookies[DEVICE], password="wrong") for _ in range(4)]
    assert answers == [401, 401, 429, 429]  # the login that made it known was the first of three
    web = attacked.another_client(address="192.0.2.8")
    refused = await attacked.login(web=web)
    assert refused.status_code == 200
    web.headers["Cookie"] = f"{DEVICE}={cookies[DEVICE]}"
    told = (await attacked.login(web=web)).json()["detail"]
    assert told.startswith("Too many sign-ins were tried on this device. Try again in ")
    assert "need not wait" not in told


async def test_a_live_refresh_token_proves_the_device_as_its_cookie_does(attacked: Identity) -> None:
    cookies = await cookies_of(attacked)
    await guess(attacked)
    assert await login_with(attacked, REFRESH, cookies[REFRESH]) == 200
    assert await login_with(attacked, DEVICE, cookies[DEVICE], password="wrong") == 401
    assert await login_with(attacked, REFRESH, cookies[REFRESH]) == 429  # it is the same device


async def test_a_refresh_token_that_is_used_or_ended_or_of_another_proves_nothing(attacked: Identity) -> None:
    other = await cookies_of(attacked, OTHER)
    used, ended = await cookies_of(attacked), await cookies_of(attacked)
    await attacked.refresh(used[REFRESH])
    await attacked.web.post("/v1/logout", json={"refresh_token": ended[REFRESH]})
    await guess(attacked)
    for cookies in (other, used, ended):
        assert await login_with(attacked, REFRESH, cookies[REFRESH]) == 429


async def test_a_cookie_of_another_student_or_a_changed_one_proves_nothing(attacked: Identity) -> None:
    own, other = await cookies_of(attacked), await cookies_of(attacked, OTHER)
    await guess(attacked)
    tampered = own[DEVICE][:-8] + "AAAAAAAA"
    for value in (other[DEVICE], tampered, own["cafeteria_access"], "", '""', "a.b.c"):
        assert await login_with(attacked, DEVICE, value) == 429, value
    both = f"{other[DEVICE]}; {DEVICE}={own[DEVICE]}"
    assert await login_with(attacked, DEVICE, both) == 200
    assert await login_with(attacked, f"__Secure-{DEVICE}", own[DEVICE]) == 200


async def test_a_device_cookie_gives_no_access(attacked: Identity) -> None:
    cookies = await cookies_of(attacked)
    bearer = {"Authorization": f"Bearer {cookies[DEVICE]}"}
    assert (await attacked.web.get("/v1/me", headers=bearer)).status_code == 401
    in_cookie = {"Cookie": f"cafeteria_access={cookies[DEVICE]}"}
    assert (await attacked.web.get("/v1/me", headers=in_cookie)).status_code == 401
    body = {"refresh_token": cookies[DEVICE]}
    assert (await attacked.web.post("/v1/token/refresh", json=body)).status_code == 401


async def test_a_page_of_a_foreign_origin_neither_gets_nor_uses_a_device_cookie(attacked: Identity) -> None:
    known = attacked.another_client(address="198.51.100.7")
    await attacked.signed_in(web=known)
    foreign = attacked.another_client(address="198.51.100.8")
    foreign.headers["Origin"] = known.headers["Origin"] = "https://evil.example"
    assert "set-cookie" not in (await attacked.login(web=foreign)).headers
    await guess(attacked)
    assert (await attacked.login(web=known)).status_code == 429


async def test_a_browser_with_a_session_from_before_becomes_known_when_it_renews_it(
    attacked: Identity,
) -> None:
    browser = attacked.another_client(address="198.51.100.7")
    await attacked.signed_in(web=browser, cookie=True)
    browser.cookies.delete(DEVICE)
    assert (await browser.post("/v1/token/refresh")).status_code == 200
    await guess(attacked)
    assert (await attacked.login(web=browser)).status_code == 200
    by_body = await attacked.refresh(browser.cookies[REFRESH])
    assert "set-cookie" not in by_body.headers


async def test_an_exhausted_network_refuses_new_devices_and_leaves_one_audit_row(attacked: Identity) -> None:
    known = attacked.another_client(address="2001:db8::1")
    await attacked.signed_in(web=known)
    for number in range(6):
        web = attacked.another_client(address=f"2001:db8::{number}:1")
        last = await attacked.login(f"invented-{number}", web=web)
    assert last.status_code == 429
    assert last.json()["detail"].startswith("Too many sign-ins from your network have failed.")
    assert 1 <= int(last.headers["retry-after"]) <= 60
    assert (
        await attacked.login(OTHER, web=attacked.another_client(address="2001:db8::9"))
    ).status_code == 429
    assert (await attacked.login(web=known)).status_code == 200
    elsewhere = attacked.another_client(address="2001:db8:0:1::1")
    assert (await attacked.login(OTHER, web=elsewhere)).status_code == 200
    outcomes = [outcome for _, outcome, _ in await attacked.attempts()]
    assert outcomes.count("unknown_user") == 4
    assert outcomes.count("throttled") == 1


async def test_of_many_simultaneous_failures_of_a_network_four_are_answered_as_such(
    attacked: Identity,
) -> None:
    answers = await asyncio.gather(*(attacked.login(f"invented-{number}") for number in range(12)))
    assert sorted(answer.status_code for answer in answers) == [401] * 4 + [429] * 8
