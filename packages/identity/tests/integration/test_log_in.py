"""Log in over HTTP: the tokens, the refusals, and the limits of attempts."""

from __future__ import annotations

import asyncio
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any

import httpx
import jwt
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import Identity, OpenIdentity


def visible_parts(answer: httpx.Response) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Everything that a client sees, except what differs between any two requests."""
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
    # all request ids have one length, so that not even Content-Length differs
    return answer.status_code, body, headers


async def test_the_right_password_gives_tokens_that_are_accepted(
    identity: Identity, servers: FixtureServers
) -> None:
    await identity.add_user(full_name="Ada")
    answer = await identity.login()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.cookies) == {"cafeteria_device"}
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
    key = load_pem_private_key(servers.credentials.signing_key_file.read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    claims = jwt.decode(body["access_token"], key.public_key(), algorithms=["EdDSA"], audience="cafeteria")
    assert (claims["sub"], claims["role"], claims["exp"] - claims["iat"]) == ("210041101", "student", 900)
    me = await identity.web.get("/v1/me", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert (me.json()["student_id"], me.json()["full_name"]) == ("210041101", "Ada")


async def test_an_unknown_id_a_wrong_password_and_a_disabled_account_get_the_same_answer(
    identity: Identity,
) -> None:
    await identity.add_user()
    await identity.add_user("210041102", disabled=True)
    wrong = visible_parts(await identity.login("210041101", "not-the-password"))
    unknown = visible_parts(await identity.login("999999999", "not-the-password"))
    disabled = visible_parts(await identity.login("210041102"))
    assert wrong == unknown == disabled
    status, body, headers = wrong
    assert status == 401
    assert body["type"] == "/problems/invalid-credentials"
    assert headers["www-authenticate"].startswith("Bearer")


async def test_an_unknown_id_takes_as_long_as_a_wrong_password(open_identity: OpenIdentity) -> None:
    identity = await open_identity(logins_per_client=100, logins_per_student=100, failures_per_client=200)
    await identity.add_user()

    async def seconds(student_id: str) -> float:
        began = perf_counter()
        assert (await identity.login(student_id, "not-the-password")).status_code == 401
        return perf_counter() - began

    # Other load on the machine only prolongs an answer: the quickest ones show the time of the work itself. Without a hash
    # for unknown ids their ratio is about 0.1, however many answers are measured.
    wrong = unknown = inf
    for _ in range(40):
        wrong, unknown = min(wrong, await seconds("210041101")), min(unknown, await seconds("999999999"))
        if 0.5 < unknown / wrong < 2:
            break
    assert 0.5 < unknown / wrong < 2


async def test_every_attempt_is_in_the_audit_with_its_outcome(identity: Identity) -> None:
    user_id = await identity.add_user()
    await identity.add_user("210041102", disabled=True)
    await identity.login()
    await identity.login("210041101", "not-the-password")
    await identity.login("999999999")
    await identity.login("210041102")
    await identity.login()
    await identity.login()
    assert await identity.attempts() == [
        ("210041101", "succeeded", True),
        ("210041101", "wrong_password", False),
        ("999999999", "unknown_user", False),
        ("210041102", "disabled", False),
        ("210041101", "succeeded", True),
        ("210041101", "throttled", False),
    ]
    rows = await identity.database.fetch("SELECT * FROM identity.login_attempts ORDER BY attempted_at")
    assert [row["user_id"] == user_id for row in rows] == [True, True, False, False, True, True]
    assert rows[2]["user_id"] is None
    assert {str(row["client_ip"]) for row in rows} == {"127.0.0.1"}
    assert all(row["response_time_ms"] >= 5 for row in rows[:5])


async def test_a_flood_of_refused_attempts_leaves_one_audit_row_a_minute(identity: Identity) -> None:
    answers = [await identity.login("999999999") for _ in range(9)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429] * 6
    outcomes = [outcome for _, outcome, _ in await identity.attempts()]
    assert outcomes == ["unknown_user"] * 3 + ["throttled"]


async def test_the_fourth_attempt_of_a_minute_is_refused_whatever_its_password(identity: Identity) -> None:
    await identity.add_user()
    answers = [
        await identity.login(password=password) for password in ("wrong-1", "iftar-rush-2026", "wrong-2")
    ]
    assert [answer.status_code for answer in answers] == [401, 200, 401]
    fourth = await identity.login()
    assert fourth.status_code == 429
    assert fourth.json()["type"] == "/problems/too-many-attempts"
    assert 1 <= int(fourth.headers["retry-after"]) <= 60


async def test_an_unknown_id_is_limited_like_any_other(identity: Identity) -> None:
    answers = [await identity.login("999999999") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


async def test_another_student_and_another_address_have_their_own_windows(
    open_identity: OpenIdentity,
) -> None:
    identity = await open_identity(trusted_proxies=("127.0.0.1",))
    await identity.add_user()
    await identity.add_user("210041102")
    for _ in range(4):
        last = await identity.login()
    assert last.status_code == 429
    assert (await identity.login("210041102")).status_code == 200
    elsewhere = identity.another_client(address="127.0.0.2")
    assert (await identity.login(web=elsewhere)).status_code == 200


async def test_many_addresses_together_reach_the_limit_of_the_student_id(open_identity: OpenIdentity) -> None:
    identity = await open_identity(logins_per_student=5, trusted_proxies=("127.0.0.1",))
    await identity.add_user()
    clients = [identity.another_client(address=f"127.0.0.{number}") for number in range(2, 10)]
    answers = await asyncio.gather(*(identity.login(password="wrong", web=web) for web in clients))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [401] * 5 + [429] * 3


async def test_of_many_simultaneous_attempts_three_are_judged(identity: Identity) -> None:
    await identity.add_user()
    answers = await asyncio.gather(*(identity.login(password="wrong") for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [401] * 3 + [429] * 9


async def test_a_full_queue_refuses_at_once_and_counts_nothing(open_identity: OpenIdentity) -> None:
    identity = await open_identity(hash_threads=1, hash_queue=1)
    for number in range(12):
        await identity.add_user(f"21004110{number}")
    answers = await asyncio.gather(*(identity.login(f"21004110{number}") for number in range(12)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused
    assert {answer.status_code for answer in answers} == {200, 503}
    assert refused[0].json()["type"] == "/problems/overloaded"
    assert int(refused[0].headers["retry-after"]) >= 1
    counted = await identity.database.fetchval("SELECT count(*) FROM identity.login_windows")
    assert counted == len(await identity.attempts()) == 12 - len(refused)


async def test_a_login_replaces_an_outdated_hash(identity: Identity) -> None:
    cheap = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("iftar-rush-2026")
    await identity.add_user(password_hash=cheap)
    assert (await identity.login(password="wrong")).status_code == 401
    assert await identity.database.fetchval("SELECT password_hash FROM identity.users") == cheap
    assert (await identity.login()).status_code == 200
    renewed = await identity.database.fetchval("SELECT password_hash FROM identity.users")
    assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (await identity.login()).status_code == 200


async def test_the_forwarded_address_of_an_untrusted_client_is_ignored(identity: Identity) -> None:
    await identity.add_user()
    headers = [{"X-Forwarded-For": f"203.0.113.{number}"} for number in range(4)]
    answers = [
        await identity.web.post(
            "/v1/login", json={"student_id": "210041101", "password": "wrong"}, headers=each
        )
        for each in headers
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


async def test_a_trusted_proxys_forwarded_address_is_counted(open_identity: OpenIdentity) -> None:
    identity = await open_identity(IDENTITY_TRUSTED_PROXIES="127.0.0.0/8")
    await identity.add_user()
    for number in (1, 2, 1, 1, 1):
        last = await identity.web.post(
            "/v1/login",
            json={"student_id": "210041101", "password": "wrong"},
            headers={"X-Forwarded-For": f"6.6.6.6, 203.0.113.{number}"},
        )
    assert last.status_code == 429
    rows = await identity.database.fetch(
        "SELECT client_ip FROM identity.login_attempts ORDER BY attempted_at"
    )
    assert [str(row["client_ip"]) for row in rows] == [f"203.0.113.{number}" for number in (1, 2, 1, 1, 1)]


async def test_a_malformed_login_is_refused_and_not_audited(identity: Identity) -> None:
    bodies: list[Any] = [
        {},
        {"student_id": "210041101"},
        {"student_id": "210041101", "password": ""},
        {"student_id": "210041101", "password": "x" * 257},
        {"student_id": "210041101", "password": "x", "admin": True},
        {"student_id": "210041101\n", "password": "x"},
        {"student_id": "2100 41101", "password": "x"},
        {"student_id": "", "password": "x"},
        {"student_id": 210041101, "password": "x"},
        [],
    ]
    for body in bodies:
        answer = await identity.web.post("/v1/login", json=body)
        assert answer.status_code == 400, body
        assert answer.json()["type"] == "/problems/invalid-request"
    assert await identity.attempts() == []


async def test_clients_behind_a_proxy_have_their_own_windows_in_every_spelling_of_the_header(
    open_identity: OpenIdentity,
) -> None:
    identity = await open_identity(IDENTITY_TRUSTED_PROXIES="127.0.0.0/8")
    await identity.add_user()
    spellings = [
        ({"X-Forwarded-For": "203.0.113.5:41234"}, "203.0.113.5"),
        ({"X-Forwarded-For": "[2001:db8::1]:443"}, "2001:db8::1"),
        ({"X-Forwarded-For": '"[2001:db8::2]"'}, "2001:db8::2"),
        ({"Forwarded": 'for="[2001:db8::3]:4711";proto=https'}, "2001:db8::3"),
        ({"Forwarded": "for=203.0.113.6"}, "203.0.113.6"),
        ({"Forwarded": "for=unknown"}, "127.0.0.1"),
    ]
    for headers, _ in spellings:
        body = {"student_id": "210041101", "password": "wrong"}
        assert (await identity.web.post("/v1/login", json=body, headers=headers)).status_code == 401
    rows = await identity.database.fetch(
        "SELECT client_ip FROM identity.login_attempts ORDER BY attempted_at"
    )
    assert [str(row["client_ip"]) for row in rows] == [address for _, address in spellings]


async def test_an_account_that_is_disabled_while_its_password_is_checked_is_refused_as_any_failure(
    identity: Identity,
) -> None:
    await identity.add_user()
    async with identity.database.transaction():
        await identity.database.execute("UPDATE identity.users SET disabled_at = now()")
        login = asyncio.ensure_future(identity.login())
        await identity.until_waiting(1)
    assert (await login).status_code == 401
    assert await identity.attempts() == [("210041101", "disabled", False)]
    assert await identity.database.fetchval("SELECT attempts FROM identity.sender_windows") == 1
