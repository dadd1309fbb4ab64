"""Refresh tokens: watched for copies, ended by a logout; and the cookies of browsers."""

from hashlib import sha256


async def is_family_revoked(desk) -> bool:
    return bool(
        await desk.books.fetchval(
            "SELECT count(*) FROM identity.refresh_tokens WHERE revoked_at IS NOT NULL AND id = family"
        )
    )


async def test_a_refresh_gives_new_tokens(desk) -> None:
    await desk.add_user()
    first = await desk.signed_in()
    answer = await desk.refresh(first["refresh_token"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    me = await desk.web.get("/v1/me", headers={"Authorization": f"Bearer {second['access_token']}"})
    assert me.json()["student_id"] == "210041101"
    assert (await desk.refresh(second["refresh_token"])).status_code == 200


async def test_only_the_hash_of_a_token_is_kept(desk) -> None:
    await desk.add_user()
    token = (await desk.signed_in())["refresh_token"]
    kept = await desk.books.fetchval("SELECT token_hash FROM identity.refresh_tokens")
    assert kept == sha256(token.encode()).digest()


async def test_a_used_token_that_comes_again_ends_its_family(desk) -> None:
    await desk.add_user()
    first = (await desk.signed_in())["refresh_token"]
    second = (await desk.refresh(first)).json()["refresh_token"]
    third = (await desk.refresh(second)).json()["refresh_token"]
    await desk.books.execute("UPDATE identity.refresh_tokens SET used_at = used_at - interval '11 s'")
    replayed = await desk.refresh(first)
    assert replayed.status_code == 401
    assert replayed.json()["type"] == "/problems/unauthenticated"
    assert await is_family_revoked(desk)
    assert (await desk.refresh(third)).status_code == 401


async def test_another_family_of_the_same_student_lives_on(desk) -> None:
    await desk.add_user()
    stolen, other = (await desk.signed_in())["refresh_token"], (await desk.signed_in())["refresh_token"]
    await desk.refresh(stolen)
    await desk.books.execute("UPDATE identity.refresh_tokens SET used_at = used_at - interval '11 s'")
    assert (await desk.refresh(stolen)).status_code == 401
    assert (await desk.refresh(other)).status_code == 200


async def test_a_session_ends_when_its_time_is_up(desk) -> None:
    await desk.add_user()
    token = (await desk.signed_in())["refresh_token"]
    token = (await desk.refresh(token)).json()["refresh_token"]
    await desk.books.execute(
        "UPDATE identity.refresh_tokens SET created_at = created_at - interval '30 days',"
        " expires_at = expires_at - interval '30 days'"
    )
    assert (await desk.refresh(token)).status_code == 401


async def test_renewing_does_not_prolong_a_session(desk) -> None:
    await desk.add_user()
    await desk.refresh((await desk.signed_in())["refresh_token"])
    ends = await desk.books.fetch("SELECT DISTINCT expires_at FROM identity.refresh_tokens")
    assert len(ends) == 1


async def test_a_disabled_student_renews_nothing_and_is_nobody(desk) -> None:
    await desk.add_user()
    tokens = await desk.signed_in()
    await desk.books.execute("UPDATE identity.users SET disabled_at = now()")
    assert (await desk.refresh(tokens["refresh_token"])).status_code == 401
    me = await desk.web.get("/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert me.status_code == 401


async def test_a_new_role_comes_with_the_next_refresh(desk) -> None:
    await desk.add_user()
    tokens = await desk.signed_in()
    await desk.books.execute("UPDATE identity.users SET role = 'operator'")
    renewed = (await desk.refresh(tokens["refresh_token"])).json()["access_token"]
    answer = await desk.web.post(
        "/v1/students",
        json={"student_id": "210041102", "password": "long-enough"},
        headers={"Authorization": f"Bearer {renewed}"},
    )
    assert answer.status_code == 201


async def test_tokens_that_are_none_are_refused(desk) -> None:
    for body in ({"refresh_token": "made-up"}, {"refresh_token": ""}, {}, None):
        answer = await desk.web.post("/v1/token/refresh", json=body)
        assert answer.status_code == 401, body
    assert (await desk.web.post("/v1/token/refresh")).status_code == 401


async def test_a_logout_ends_the_session(desk) -> None:
    await desk.add_user()
    first = (await desk.signed_in())["refresh_token"]
    second = (await desk.refresh(first)).json()["refresh_token"]
    answer = await desk.web.post("/v1/logout", json={"refresh_token": first})
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await desk.refresh(second)).status_code == 401


async def test_a_logout_always_succeeds(desk) -> None:
    await desk.add_user()
    token = (await desk.signed_in())["refresh_token"]
    for body in ({"refresh_token": token}, {"refresh_token": token}, {"refresh_token": "made-up"}, {}):
        assert (await desk.web.post("/v1/logout", json=body)).status_code == 204
    assert (await desk.web.post("/v1/logout")).status_code == 204


async def test_a_browser_gets_cookies_that_no_script_reads(desk) -> None:
    await desk.add_user()
    answer = await desk.login(cookie=True)
    cookies = {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}
    assert set(cookies) == {"cafeteria_access", "cafeteria_refresh", "cafeteria_logout"}
    for name, path in (("access", "/"), ("refresh", "/v1/token"), ("logout", "/v1/logout")):
        attributes = {part.strip().lower() for part in cookies[f"cafeteria_{name}"].split(";")[1:]}
        assert {"httponly", "samesite=lax", f"path={path}"} <= attributes
        assert "secure" not in attributes
    assert answer.cookies["cafeteria_access"] == answer.json()["access_token"]
    assert answer.cookies["cafeteria_refresh"] == answer.json()["refresh_token"]


async def test_a_browser_lives_by_its_cookies_alone(desk) -> None:
    await desk.add_user()
    await desk.login(cookie=True)
    assert (await desk.web.get("/v1/me")).json()["student_id"] == "210041101"
    first = desk.web.cookies["cafeteria_refresh"]
    assert (await desk.web.post("/v1/token/refresh")).status_code == 200
    second = desk.web.cookies["cafeteria_refresh"]
    assert second not in (None, first)
    assert (await desk.web.get("/v1/me")).status_code == 200
    assert (await desk.web.post("/v1/logout")).status_code == 204
    assert dict(desk.web.cookies) == {}
    assert (await desk.refresh(second)).status_code == 401


async def test_cookies_are_secure_where_https_is(open_desk) -> None:
    desk = await open_desk(IDENTITY_TRUSTED_PROXIES="127.0.0.1")
    await desk.add_user()
    body = {"student_id": "210041101", "password": "iftar-rush-2026", "cookie": True}
    plain = await desk.web.post("/v1/login", json=body)
    https = await desk.web.post("/v1/login", json=body, headers={"X-Forwarded-Proto": "https"})
    assert ["Secure" in line for line in plain.headers.get_list("set-cookie")] == [False] * 3
    assert ["Secure" in line for line in https.headers.get_list("set-cookie")] == [True] * 3


async def test_cookies_are_secure_when_the_setting_says_so(open_desk) -> None:
    desk = await open_desk(secure_cookies=True)
    await desk.add_user()
    answer = await desk.login(cookie=True)
    assert ["Secure" in line for line in answer.headers.get_list("set-cookie")] == [True] * 3


async def test_a_strange_page_cannot_use_a_browsers_session(open_desk) -> None:
    desk = await open_desk(CAFETERIA_ALLOWED_ORIGINS="https://canteen.example")
    await desk.add_user()
    await desk.login(cookie=True)
    for path in ("/v1/token/refresh", "/v1/logout"):
        refused = await desk.web.post(path, headers={"Origin": "https://evil.example"})
        assert refused.status_code == 403
    body = {"student_id": "210041101", "password": "iftar-rush-2026", "cookie": True}
    planted = await desk.web.post("/v1/login", json=body, headers={"Origin": "https://evil.example"})
    assert (planted.status_code, planted.headers.get_list("set-cookie")) == (403, [])
    renewed = await desk.web.post("/v1/token/refresh", headers={"Origin": "https://canteen.example"})
    assert renewed.status_code == 200
