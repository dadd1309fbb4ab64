"""The cookies of browsers: their attributes, and the pages that may use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from conftest import Identity, OpenIdentity


async def test_a_browser_gets_cookies_that_no_script_reads(identity: Identity) -> None:
    await identity.add_user()
    answer = await identity.login(cookie=True)
    cookies = {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}
    assert set(cookies) == {*PLAIN_NAMES}
    paths = {"access": "/", "refresh": "/v1/token", "logout": "/v1/logout", "device": "/v1/login"}
    for name, path in paths.items():
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
    assert set(identity.web.cookies) == {"cafeteria_device"}  # it gives no access
    assert (await identity.refresh(second)).status_code == 401


SECURE_NAMES = [
    "__Host-cafeteria_access",
    "__Secure-cafeteria_refresh",
    "__Secure-cafeteria_logout",
    "__Secure-cafeteria_device",
]
PLAIN_NAMES = ["cafeteria_access", "cafeteria_refresh", "cafeteria_logout", "cafeteria_device"]
BODY = {"student_id": "210041101", "password": "iftar-rush-2026", "cookie": True}
COOKIE_ROUTES: tuple[tuple[str, Any], ...] = (
    ("/v1/login", BODY),
    ("/v1/token/refresh", None),
    ("/v1/logout", None),
    ("/v1/logout", {}),
)


def names_of(answer: httpx.Response) -> list[str]:
    return [line.partition("=")[0] for line in answer.headers.get_list("set-cookie")]


def secure_marks(answer: httpx.Response) -> list[bool]:
    return ["Secure" in line.split("; ") for line in answer.headers.get_list("set-cookie")]


async def test_cookies_are_secure_for_clients_that_use_https(open_identity: OpenIdentity) -> None:
    identity = await open_identity(IDENTITY_TRUSTED_PROXIES="127.0.0.1")
    await identity.add_user()
    plain = await identity.web.post("/v1/login", json=BODY)
    https = await identity.web.post("/v1/login", json=BODY, headers={"X-Forwarded-Proto": "https"})
    assert (names_of(plain), secure_marks(plain)) == (PLAIN_NAMES, [False] * 4)
    assert (names_of(https), secure_marks(https)) == (SECURE_NAMES, [True] * 4)


@pytest.mark.parametrize(
    "setting",
    [{"IDENTITY_SECURE_COOKIES": "true"}, {"CAFETERIA_PUBLIC_ORIGINS": "https://canteen.example"}],
)
async def test_cookies_are_secure_if_a_setting_says_that_browsers_use_https(
    open_identity: OpenIdentity, setting: dict[str, str]
) -> None:
    identity = await open_identity(**setting)
    await identity.add_user()
    answer = await identity.login(cookie=True)
    assert (names_of(answer), secure_marks(answer)) == (SECURE_NAMES, [True] * 4)
    access, refresh, logout, _ = (line.partition(";")[0] for line in answer.headers.get_list("set-cookie"))
    web = identity.another_client()
    assert (await web.get("/v1/me", headers={"Cookie": access})).status_code == 200
    renewed = await web.post("/v1/token/refresh", headers={"Cookie": refresh})
    assert (renewed.status_code, names_of(renewed)) == (200, SECURE_NAMES)
    ended = await web.post("/v1/logout", headers={"Cookie": logout})
    assert (ended.status_code, names_of(ended), secure_marks(ended)) == (204, SECURE_NAMES[:3], [True] * 3)
    assert (await web.post("/v1/token/refresh", headers={"Cookie": refresh})).status_code == 401


async def test_over_https_alone_a_plain_cookie_is_nobodys(open_identity: OpenIdentity) -> None:
    """A neighbouring host can set it for the whole domain, and so sign a browser in as somebody else."""
    identity = await open_identity(IDENTITY_SECURE_COOKIES="true")
    await identity.add_user()
    tokens = await identity.signed_in()
    planted = {"Cookie": f"cafeteria_access={tokens['access_token']}"}
    assert (await identity.web.get("/v1/me", headers=planted)).status_code == 401
    for name in ("refresh", "logout"):
        path = "/v1/token/refresh" if name == "refresh" else "/v1/logout"
        await identity.web.post(path, headers={"Cookie": f"cafeteria_{name}={tokens['refresh_token']}"})
    assert (await identity.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_cookie_cannot_be_shadowed_by_another_of_its_name(identity: Identity) -> None:
    await identity.add_user()
    await identity.add_user("210041102")
    own, other = await identity.signed_in(), await identity.signed_in("210041102")
    for name in ("cafeteria_access", "__Host-cafeteria_access"):
        pair = [f"{name}={tokens['access_token']}" for tokens in (other, own)]
        assert (await identity.web.get("/v1/me", headers={"Cookie": "; ".join(pair)})).status_code == 400
    both = f"cafeteria_access={other['access_token']}; __Host-cafeteria_access={own['access_token']}"
    for cookie in (both, "; ".join(reversed(both.split("; ")))):
        shown = await identity.web.get("/v1/me", headers={"Cookie": cookie})
        assert shown.json()["student_id"] == "210041101"
    twice = "; ".join(f"cafeteria_refresh={tokens['refresh_token']}" for tokens in (other, own))
    assert (await identity.web.post("/v1/token/refresh", headers={"Cookie": twice})).status_code == 400


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "ftp://{host}", "https://{host}", "http://evil"]
)
async def test_a_foreign_page_sets_and_clears_no_cookie(identity: Identity, origin: str) -> None:
    await identity.add_user()
    headers = {"Origin": origin.format(host=identity.web.base_url.netloc.decode())}
    for path, body in COOKIE_ROUTES:
        refused = await identity.another_client().post(path, json=body, headers=headers)
        assert (refused.status_code, names_of(refused)) == (403, []), path


async def test_a_page_of_this_host_needs_the_scheme_of_the_request(open_identity: OpenIdentity) -> None:
    identity = await open_identity(IDENTITY_TRUSTED_PROXIES="127.0.0.1")
    await identity.add_user()
    host = identity.web.base_url.netloc.decode()
    for page, proto, status in (("http", "http", 200), ("https", "https", 200), ("http", "https", 403)):
        headers = {"Origin": f"{page}://{host}", "X-Forwarded-Proto": proto}
        assert (await identity.web.post("/v1/login", json=BODY, headers=headers)).status_code == status
        await identity.forget_windows()


async def test_with_public_origins_the_host_of_a_request_proves_nothing(open_identity: OpenIdentity) -> None:
    identity = await open_identity(CAFETERIA_PUBLIC_ORIGINS="http://canteen.example:8001, http://[::1]:80")
    await identity.add_user()
    for path, body in COOKIE_ROUTES:
        foreign = {"Host": "evil.example", "Origin": "http://evil.example"}
        refused = await identity.another_client().post(path, json=body, headers=foreign)
        assert (refused.status_code, names_of(refused)) == (403, []), path
    for origin in ("http://canteen.example:8001", "HTTP://Canteen.Example:8001", "http://[::1]"):
        answer = await identity.web.post("/v1/login", json=BODY, headers={"Origin": origin})
        assert (answer.status_code, names_of(answer)) == (200, PLAIN_NAMES), origin
        await identity.forget_windows()


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
