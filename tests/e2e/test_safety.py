"""Forbidden requests are refused, logs hold no secrets, and a process stops in time without losing a request."""

import asyncio
import base64
import re
import signal
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cafeteria.contracts.identity import Jwks
from cafeteria.contracts.subjects import SERVICES
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import RunningStack

STOPPED_WITHIN_S = 3.0 + 3.0
"""What a stop may take, and what a busy machine adds; one open stream would hold a process for good."""
METHODS = ("get", "post", "patch", "put", "delete")


async def protected_routes(stack: "RunningStack", service: str) -> list[tuple[str, str]]:
    """(method, path) of every route that the service's own schema marks as guarded."""
    async with stack.http.get(f"{stack.processes.url(service)}/schema/openapi.json") as response:
        schema: dict[str, Any] = msgspec.json.decode(await response.read())
    return [
        (method, re.sub(r"\{[^}]*\}", str(uuid4()), path))
        for path, operations in schema["paths"].items()
        for method in METHODS
        if operations.get(method, {}).get("security")
    ]


async def bad_tokens(stack: "RunningStack") -> dict[str, dict[str, str]]:
    """Headers of requests that must be refused, by what is wrong with them."""
    async with stack.http.get(f"{stack.processes.url('identity')}/.well-known/jwks.json") as response:
        [key] = msgspec.json.decode(await response.read(), type=Jwks).keys
    now = datetime.now(UTC)
    claims = {
        "iss": "cafeteria-identity",
        "aud": "cafeteria",
        "sub": "210041101",
        "role": "operator",
        "sid": str(uuid4()),
        "iat": now,
        "exp": now + timedelta(hours=1),
    }
    own_key = Ed25519PrivateKey.generate()
    public = base64.urlsafe_b64decode(key.x + "=" * (-len(key.x) % 4))
    tokens = {
        "forged": jwt.encode(claims, own_key, algorithm="EdDSA", headers={"kid": key.kid}),
        "of an unknown key": jwt.encode(claims, own_key, algorithm="EdDSA", headers={"kid": "nobody"}),
        "HS256 with the public key": jwt.encode(claims, public, algorithm="HS256", headers={"kid": key.kid}),
        "unsigned": jwt.encode(claims, "", algorithm="none", headers={"kid": key.kid}),
    }
    return {"absent": {}} | {name: {"Authorization": f"Bearer {token}"} for name, token in tokens.items()}


@pytest.mark.parametrize("service", SERVICES)
async def test_every_protected_route_answers_401_to_a_bad_token(stack: "RunningStack", service: str) -> None:
    routes = await protected_routes(stack, service)
    assert routes, f"{service} guards nothing"
    for wrong, headers in (await bad_tokens(stack)).items():
        for method, path in routes:
            url = f"{stack.processes.url(service)}{path}"
            async with stack.http.request(method, url, headers=headers) as response:
                assert response.status == 401, f"{wrong}: {method} {path}"
                assert response.headers["WWW-Authenticate"].startswith("Bearer")
                assert response.content_type == "application/problem+json"


async def test_the_fourth_login_in_a_minute_is_refused_with_the_time_to_wait(stack: "RunningStack") -> None:
    student = await stack.student()
    url = f"{stack.processes.url('identity')}/v1/login"
    statuses = []
    for _ in range(3):
        body = msgspec.json.encode({"student_id": student.student_id, "password": "wrong-password"})
        async with stack.http.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
            statuses.append(response.status)
            retry_after = int(response.headers.get("Retry-After", 0))
    assert statuses == [401, 401, 429]
    assert 0 < retry_after <= 60


async def test_a_student_may_not_do_what_operators_and_cooks_do(stack: "RunningStack") -> None:
    student = await stack.student()
    attempts = [
        ("stock", "POST", "/v1/items", {"name": "Free lunch", "price": "0", "quantity": 1}),
        ("identity", "POST", "/v1/students", {"student_id": "999", "password": "long-enough"}),
        ("identity", "GET", "/v1/students", None),
        ("identity", "GET", f"/v1/students/{student.student_id}/logins", None),
        ("kitchen", "GET", "/v1/tickets", None),
    ]
    for service, method, path, body in attempts:
        async with stack.http.request(
            method,
            f"{stack.processes.url(service)}{path}",
            data=None if body is None else msgspec.json.encode(body),
            headers={"Content-Type": "application/json", **student.authorization},
        ) as response:
            assert response.status == 403, path
        await until(lambda: names_the_refused(stack.processes.log(service), student.student_id))  # noqa: B023 - awaited


def names_the_refused(log: str, student_id: str) -> bool:
    lines = [msgspec.json.decode(line) for line in log.splitlines() if '"role_refused"' in line]
    return any(
        (line["status"], line["subject"], line["client"]) == (403, student_id, "127.0.0.1") for line in lines
    )


@pytest.mark.parametrize("service", SERVICES)
async def test_sigterm_answers_what_was_read_ends_streams_and_stops_in_time(
    stack: "RunningStack", service: str, lines_of
) -> None:
    student, dish = await stack.student(gateway=0), await stack.dish(100)
    stack.follow(student)
    before = len(stack.processes.log(service))
    pid = stack.processes.pid(service)
    sending = [
        asyncio.create_task(student.order_once(lines_of(dish), key=f"{service}-{number}"))
        for number in range(20)
    ]
    await asyncio.sleep(0)
    asked_at = monotonic()
    stack.processes.kill(service, signal.SIGTERM)
    answers = await asyncio.gather(*sending)
    await until(lambda: not stack.processes.is_running(service) or stack.processes.pid(service) != pid)
    assert monotonic() - asked_at < STOPPED_WITHIN_S
    await stack.processes.ready(service)
    logged = stack.processes.log(service)[before:]
    assert '"level":"error"' not in logged
    assert all(answer.status in {201, 202, 503, None} for answer in answers)
    for number in range(20):
        assert (await student.order(lines_of(dish), key=f"{service}-{number}")).status == 201


async def test_no_log_holds_a_password_a_token_or_a_key(stack: "RunningStack", lines_of) -> None:
    student, dish = await stack.student(), await stack.dish(5)
    await student.order(lines_of(dish), key="a-secret-looking-idempotency-key")
    secrets = [
        path.read_text().strip()
        for path in stack.processes.home.secrets.rglob("*")
        if path.is_file() and path.read_text().strip()
    ]
    assert secrets
    token = student.authorization["Authorization"].removeprefix("Bearer ")
    forbidden = [
        "iftar-rush-2026",
        "wrong-password",
        token,
        token.rsplit(".", 1)[-1],
        "BEGIN PRIVATE KEY",  # pragma: allowlist secret
        *secrets,
    ]
    for name in stack.processes.names:
        logged = stack.processes.log(name)
        for secret in forbidden:
            assert secret not in logged, f"the log of {name} holds a secret"
