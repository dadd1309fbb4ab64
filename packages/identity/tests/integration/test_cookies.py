"""The cookies of browsers: their attributes, and the pages that may use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Identity, OpenIdentity


async def test_a_browser_gets_cookies_that_no_script_reads(identity: Identity) -> None:
    await identity.add_user()
    answer = await identity.login(cookie=True)
    cookies = {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}
    assert set(cookies) == {"cafeteria_access", "cafeteria_refresh", "cafeteria_logout"}
    for name, path in (("access", "/"), ("refresh", "/v1/token"), ("logout", "/v1/logout")):
        attributes = {part.strip().lower() for part in cookies[f"cafeteria_{name}"].split(";")[1:]}
        assert {"httponly", "samesite=lax", f"path={path}"} <= attributes
        assert "secure" not in attributes
    assert answer.cookies["cafeteria_access"] == answer.json()["access_token"]
    assert answer.cookies["cafeteria_refresh"] == answer.json()["refresh_token"]


async def test_a_browser_needs_only_its_cookies(identity: Identity) -> None:
    await identity.add_user()
    await identity.login(cookie=True)
    assert (await identity.web.get("/v1/me")).json()["student_id"] == "210041101"
    first = identity.web.cookies["cafeteria_refresh"]
    assert (await identity.web.post("/v1/token/refresh")).status_code == 200
    second = identity.web.cookies["cafeteria_refresh"]
    assert second not in (None, first)
    assert (await identity.web.get("/v1/me")).status_code == 200
    assert (await identity.web.post("/v1/logout")).status_code == 204
    assert dict(identity.web.cookies) == {}
    assert (await identity.refresh(second)).status_code == 401


async def test_cookies_are_secure_for_clients_that_use_https(open_identity: OpenIdentity) -> None:
    identity = await open_identity(IDENTITY_TRUSTED_PROXIES="127.0.0.1")
    await identity.add_user()
    body = {"student_id": "210041101", "password": "iftar-rush-2026", "cookie": True}
    plain = await identity.web.post("/v1/login", json=body)
    https = await identity.web.post("/v1/login", json=body, headers={"X-Forwarded-Proto": "https"})
    assert ["Secure" in line for line in plain.headers.get_list("set-cookie")] == [False] * 3
    assert ["Secure" in line for line in https.headers.get_list("set-cookie")] == [True] * 3


async def test_cookies_are_secure_if_the_setting_demands_it(open_identity: OpenIdentity) -> None:
    identity = await open_identity(secure_cookies=True)
    await identity.add_user()
    answer = await identity.login(cookie=True)
    assert ["Secure" in line for line in answer.headers.get_list("set-cookie")] == [True] * 3


async def test_a_page_of_a_foreign_origin_cannot_use_a_browsers_session(open_identity: OpenIdentity) -> None:
    identity = await open_identity(CAFETERIA_ALLOWED_ORIGINS="https://canteen.example")
    await identity.add_user()
    await identity.login(cookie=True)
    for path in ("/v1/token/refresh", "/v1/logout"):
        refused = await identity.web.post(path, headers={"Origin": "https://evil.example"})
        assert refused.status_code == 403
    body = {"student_id": "210041101", "password": "iftar-rush-2026", "cookie": True}
    planted = await identity.web.post("/v1/login", json=body, headers={"Origin": "https://evil.example"})
    assert (planted.status_code, planted.headers.get_list("set-cookie")) == (403, [])
    renewed = await identity.web.post("/v1/token/refresh", headers={"Origin": "https://canteen.example"})
    assert renewed.status_code == 200
