"""Identity as a process: what it logs, how it stops, and why it does not start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from cafeteria.testkit.servers import FixtureServers
from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Identity


START_TIMEOUT_S = 30.0
PASSWORDS = ("iftar-rush-2026", "wrong-Passw0rd", "new-Passw0rd", "ill-Passw0rd", "own-Passw0rd")


class Process:
    """A process and its output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[bytes] = []

    async def url(self) -> str:
        """Read the log until the process listens; return its URL."""
        assert self._process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT_S):
            async for line in self._process.stdout:
                self.lines.append(line)
                entry = json.loads(line)
                if entry["event"] == "service_started":
                    return str(entry["url"])
        raise AssertionError(self.lines)

    async def stop(self) -> tuple[int, str]:
        """Send SIGTERM; return the exit code and the whole output."""
        self._process.send_signal(signal.SIGTERM)
        return await self.wait_stopped()

    async def wait_stopped(self) -> tuple[int, str]:
        async with asyncio.timeout(START_TIMEOUT_S):
            rest, errors = await self._process.communicate()
        return self._process.returncode or 0, b"".join([*self.lines, rest, errors]).decode()


@asynccontextmanager
async def identity_process(environment: dict[str, str]) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cafeteria.identity",
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def use_everything(identity: Identity, web: httpx.AsyncClient, operator: dict[str, str]) -> list[str]:
    """Send right and wrong requests to every route; return the tokens of the answers."""
    requests: list[tuple[str, Any]] = [
        ("/v1/login", {"student_id": "210041101", "password": PASSWORDS[0], "cookie": True}),
        ("/v1/login", {"student_id": "210041101", "password": PASSWORDS[1]}),
        ("/v1/login", {"student_id": "999999999", "password": PASSWORDS[1]}),
        ("/v1/login", {"student_id": 5, "password": PASSWORDS[3]}),
        ("/v1/login", {"student_id": PASSWORDS[3] + "!", "password": [PASSWORDS[3]]}),
        ("/v1/login?password=" + PASSWORDS[3], {"password": PASSWORDS[3]}),
        ("/v1/students", {"student_id": "210041999", "password": PASSWORDS[2]}),
        ("/v1/students", {"student_id": "210041999", "password": PASSWORDS[2]}),
        ("/v1/token/refresh", {}),
    ]
    answers = [await web.post(path, json=body, headers=operator) for path, body in requests]
    malformed = f'{{"student_id": "210041101", "password": "{PASSWORDS[3]}"'
    answers.append(
        await web.post("/v1/login", content=malformed, headers={"content-type": "application/json"})
    )
    first = answers[0].json()
    # the refresh by cookie above used this token: ten seconds later it ends its family
    await identity.database.execute("UPDATE identity.refresh_tokens SET used_at = used_at - interval '11 s'")
    answers.append(await web.post("/v1/token/refresh", json={"refresh_token": first["refresh_token"]}))
    await web.get("/v1/me", headers={"Authorization": f"Bearer {first['access_token']}x"})
    await web.get("/v1/me", params={"access_token": first["access_token"]})
    await web.post("/v1/logout", json={"refresh_token": first["refresh_token"]})
    await web.get("/v1/students", params={"search": "2100"}, headers=operator)
    await web.get("/v1/students/210041101/logins", headers=operator)
    statuses = [answer.status_code for answer in answers]
    assert statuses == [200, 401, 401, 400, 400, 400, 201, 409, 200, 400, 401]
    bodies = [answer.json() for answer in answers if answer.status_code == 200]
    bodies.append(await use_passwords(web, operator))
    return [body[name] for body in bodies for name in ("access_token", "refresh_token")] + [
        bodies[-1]["one_time_password"]
    ]


async def use_passwords(web: httpx.AsyncClient, operator: dict[str, str]) -> dict[str, str]:
    """Reset a password, sign in with it, and guess the new one; return the one-time password and the tokens."""
    reset = await web.post("/v1/students/210041999/reset-password", headers=operator)
    login = {"student_id": "210041999", "password": reset.json()["one_time_password"]}
    alone = await web.post("/v1/login", json=login)
    signed_in = await web.post("/v1/login", json={**login, "new_password": PASSWORDS[4]})
    guess = {"old_password": PASSWORDS[1], "new_password": PASSWORDS[3]}
    own = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
    guessed = await web.put("/v1/me/password", json=guess, headers=own)
    unusable = await web.put("/v1/me/password", json={**guess, "new_password": "password1"}, headers=own)
    statuses = [answer.status_code for answer in (reset, alone, signed_in, guessed, unusable)]
    assert statuses == [200, 403, 200, 403, 400]
    return {**reset.json(), **signed_in.json()}


async def test_no_password_token_or_key_is_ever_logged(
    identity: Identity, servers: FixtureServers, tokens: Tokens
) -> None:
    await identity.add_user()
    environment = {**servers.environment("identity"), "CAFETERIA_LOG_LEVEL": "debug"}
    async with identity_process(environment) as process:
        async with httpx.AsyncClient(base_url=await process.url(), timeout=20) as web:
            operator = tokens.header(tokens.operator())
            secrets = [
                *await use_everything(identity, web, operator),
                *PASSWORDS,
                operator["Authorization"][7:],
            ]
        code, output = await process.stop()
    pem = servers.credentials.signing_key_file.read_text().splitlines()
    secrets += pem[1:-1]
    secrets += [
        servers.credentials.postgres_password("identity"),
        servers.credentials.nats_password("identity"),
    ]
    assert code == 0
    assert "request_answered" in output
    assert "refresh_token_reused" in output
    for secret in secrets:
        assert len(secret) > 8
        assert secret not in output
    assert "$argon2" not in output
    assert not any(json.loads(line).get("level") in {"error", "critical"} for line in output.splitlines())


async def test_a_process_without_a_usable_key_reports_the_reason_in_a_sentence(
    servers: FixtureServers, tmp_path: Path
) -> None:
    broken = tmp_path / "key.pem"
    broken.write_text("no key")
    environment = {**servers.environment("identity"), "IDENTITY_SIGNING_KEY_FILE": str(broken)}
    async with identity_process(environment) as process:
        code, output = await process.wait_stopped()
    assert code == 2
    assert output == (
        f"identity: The signing key {broken} is not an unencrypted private key in PEM form (PKCS8).\n"
    )
