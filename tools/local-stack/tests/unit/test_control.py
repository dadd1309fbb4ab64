"""Only an operator, from a page of this very address on this machine, changes something; everybody may read the state."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest

from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.auth.tokens import TokenVerifier
from cafeteria.chassis.runtime.clock import now
from cafeteria.contracts.identity import Jwks
from cafeteria.contracts.values import Role
from cafeteria.identity.signing_keys import SigningKeys
from cafeteria.local_stack.control import EXPIRED_FOR_S, build_app, is_local
from cafeteria.local_stack.demo import Demo, DemoControls
from cafeteria.provisioning.credentials import Credentials

HOST = "ops.localhost:8080"
PAGE = {"host": HOST, "origin": f"http://{HOST}"}
HOUR = timedelta(hours=1)

CHANGES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/demo/members/stock/off", None),
    ("POST", "/demo/members/stock/freeze", None),
    ("PUT", "/demo/kitchen", {"mode": "manual"}),
    ("POST", "/demo/crowd", {"students": 30, "within_s": 1.5, "hot": True}),
    ("DELETE", "/demo/crowd", None),
]
changes = pytest.mark.parametrize(("method", "path", "body"), CHANGES)


class Recorder:
    """Stands for the controls of a stack: it records the changes."""

    def __init__(self) -> None:
        self.changes: list[Any] = []

    async def status(self) -> Demo:
        return Demo(members=(), kitchen_mode="auto", can_crowd=True, crowd=None)

    async def act(self, name: str, action: str) -> None:
        self.changes.append((name, action))

    async def set_kitchen_mode(self, mode: str) -> None:
        self.changes.append(mode)

    async def start_crowd(self, **options: Any) -> None:
        self.changes.append(options)

    def stop_crowd(self) -> None:
        self.changes.append("stop")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> SigningKeys:
    return keys_in(tmp_path_factory.mktemp("secrets"))


def keys_in(folder: Path) -> SigningKeys:
    return SigningKeys.load(str(Credentials.ensure(folder).signing_key_file))


def cookie(keys: SigningKeys, role: Role = Role.OPERATOR, *, ends_in: timedelta = HOUR) -> dict[str, str]:
    return {"cookie": f"cafeteria_access={signed(keys, role, ends_in=ends_in)}"}


def signed(keys: SigningKeys, role: Role = Role.OPERATOR, *, ends_in: timedelta = HOUR) -> str:
    return keys.sign_access_token(
        student_id=f"{role}-1",
        role=role,
        session=uuid4(),
        issued_at=now() + ends_in - HOUR,
        expires_at=now() + ends_in,
    )


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def client(recorder: Recorder, keys: SigningKeys) -> AsyncIterator[httpx.AsyncClient]:
    async def read() -> Jwks:
        return keys.jwks

    source = KeySource(read)
    await source.refresh()
    app = build_app(cast("DemoControls", recorder), TokenVerifier(source, leeway_s=EXPIRED_FOR_S))
    transport = httpx.ASGITransport(cast("Any", app))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
        yield client


@pytest.fixture(autouse=True)
def refusals_change_nothing(request: pytest.FixtureRequest, recorder: Recorder) -> Iterator[None]:
    """A test whose name says that something is refused has changed nothing."""
    yield
    if "refused" in request.node.name:
        assert recorder.changes == []


def is_problem(answer: httpx.Response, status: int) -> bool:
    document = answer.json()
    assert answer.status_code == status, document
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    return bool(document["type"] and document["title"] and document["detail"] and document["request_id"])


async def test_everybody_reads_the_state(client: httpx.AsyncClient) -> None:
    answer = await client.get("/demo")
    assert answer.status_code == 200
    assert answer.json() == {
        "members": [],
        "kitchen_mode": "auto",
        "can_crowd": True,
        "crowd": None,
    }
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


async def test_an_operator_changes_everything(
    client: httpx.AsyncClient, keys: SigningKeys, recorder: Recorder
) -> None:
    answers = [
        await client.request(method, path, json=body, headers={**PAGE, **cookie(keys)})
        for method, path, body in CHANGES
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 202, 200]
    assert all(answer.json()["kitchen_mode"] == "auto" for answer in answers)
    assert recorder.changes == [
        ("stock", "off"),
        ("stock", "freeze"),
        "manual",
        {"students": 30, "within_s": 1.5, "hot": True},
        "stop",
    ]


async def test_a_browser_keeps_the_token_for_these_addresses_alone(
    client: httpx.AsyncClient, keys: SigningKeys
) -> None:
    """It drops the access cookie when the token expires, and cannot get another while identity is away."""
    answer = await client.get("/demo", headers={"host": HOST, **cookie(keys)})
    kept, _, attributes = answer.headers["set-cookie"].partition("; ")
    assert kept.startswith("cafeteria_demo=ey")
    expected = {"HttpOnly", "Max-Age=43200", "Path=/demo", "SameSite=strict"}
    assert set(attributes.split("; ")) == expected
    changed = await client.delete("/demo/crowd", headers={**PAGE, "cookie": kept})
    assert changed.status_code == 200
    assert "set-cookie" not in changed.headers


async def test_a_token_is_kept_once(client: httpx.AsyncClient, keys: SigningKeys) -> None:
    token = signed(keys)
    both = f"cafeteria_access={token}; cafeteria_demo={token}"
    assert "set-cookie" not in (await client.get("/demo", headers={"cookie": both})).headers
    older = f"cafeteria_access={token}; cafeteria_demo={signed(keys)}"
    assert token in (await client.get("/demo", headers={"cookie": older})).headers["set-cookie"]


async def test_the_kept_token_counts_beside_an_expired_one(
    client: httpx.AsyncClient, keys: SigningKeys
) -> None:
    ended = signed(keys, ends_in=-13 * HOUR)
    cookies = f"cafeteria_access={ended}; cafeteria_demo={signed(keys, ends_in=-HOUR)}"
    answer = await client.delete("/demo/crowd", headers={**PAGE, "cookie": cookies})
    assert answer.status_code == 200


async def test_the_kept_token_is_refused_once_somebody_else_has_signed_in(
    client: httpx.AsyncClient, keys: SigningKeys
) -> None:
    cookies = f"cafeteria_access={signed(keys, Role.STUDENT)}; cafeteria_demo={signed(keys)}"
    assert is_problem(await client.delete("/demo/crowd", headers={**PAGE, "cookie": cookies}), 403)


@pytest.mark.parametrize("sent", ["student", "kitchen", "nonsense", "other key"])
async def test_the_token_of_nobody_else_is_kept(
    client: httpx.AsyncClient, keys: SigningKeys, tmp_path: Path, sent: str
) -> None:
    tokens = {
        "student": signed(keys, Role.STUDENT),
        "kitchen": signed(keys, Role.KITCHEN),
        "nonsense": "x",
        "other key": signed(keys_in(tmp_path / "others")),
    }
    answer = await client.get("/demo", headers={"cookie": f"cafeteria_access={tokens[sent]}"})
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


@changes
async def test_a_change_without_a_token_is_refused(client: Any, method: str, path: str, body: Any) -> None:
    assert is_problem(await client.request(method, path, json=body, headers=PAGE), 401)


@changes
@pytest.mark.parametrize("role", [Role.STUDENT, Role.KITCHEN])
async def test_a_change_by_others_is_refused(
    client: Any, keys: SigningKeys, role: Role, method: str, path: str, body: Any
) -> None:
    headers = {**PAGE, **cookie(keys, role)}
    assert is_problem(await client.request(method, path, json=body, headers=headers), 403)


@changes
@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        f"https://{HOST}",
        "http://ops.localhost:8081",
        "http://localhost:8080",
        "null",
        "",
    ],
)
async def test_a_change_from_another_page_is_refused(
    client: Any, keys: SigningKeys, origin: str, method: str, path: str, body: Any
) -> None:
    headers = {**PAGE, **cookie(keys), "origin": origin}
    assert is_problem(await client.request(method, path, json=body, headers=headers), 403)


@changes
async def test_a_change_by_cookie_that_tells_no_page_is_refused(
    client: Any, keys: SigningKeys, method: str, path: str, body: Any
) -> None:
    headers = {"host": HOST, **cookie(keys)}
    assert is_problem(await client.request(method, path, json=body, headers=headers), 403)


@changes
async def test_a_change_under_a_foreign_name_of_this_machine_is_refused(
    client: Any, keys: SigningKeys, method: str, path: str, body: Any
) -> None:
    headers = {**cookie(keys), "host": "evil.example", "origin": "http://evil.example"}
    assert is_problem(await client.request(method, path, json=body, headers=headers), 403)


async def test_the_state_is_refused_under_a_foreign_name(client: httpx.AsyncClient) -> None:
    assert is_problem(await client.get("/demo", headers={"host": "evil.example"}), 403)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "a.b.localhost", "127.0.0.1:80", "127.1.2.3", "[::1]:8080"]
)
def test_names_of_this_machine(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "evillocalhost",
        "192.0.2.1",
        "0.0.0.0",  # noqa: S104 - a Host header, nothing is bound
        "[::]",
        "127.0.0.1.evil.example",
        "user@localhost",
        "localhost/evil",
        "localhost:99999",
        "2130706433",
        "127.1",
    ],
)
def test_other_names_are_not_of_this_machine(host: str) -> None:
    assert not is_local(host)


async def test_an_expired_token_counts_while_identity_is_away(
    client: httpx.AsyncClient, keys: SigningKeys
) -> None:
    headers = {**PAGE, **cookie(keys, ends_in=-11 * HOUR)}
    assert (await client.delete("/demo/crowd", headers=headers)).status_code == 200


async def test_an_old_token_is_refused(client: httpx.AsyncClient, keys: SigningKeys) -> None:
    headers = {**PAGE, **cookie(keys, ends_in=-13 * HOUR)}
    assert is_problem(await client.delete("/demo/crowd", headers=headers), 401)


async def test_a_token_of_another_key_is_refused(client: httpx.AsyncClient, tmp_path: Path) -> None:
    headers = {**PAGE, **cookie(keys_in(tmp_path / "others"))}
    assert is_problem(await client.delete("/demo/crowd", headers=headers), 401)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/demo/crowd", '{"students": 0}'),
        ("/demo/crowd", '{"students": 201}'),
        ("/demo/crowd", '{"students": "30"}'),
        ("/demo/crowd", '{"students": 1.5}'),
        ("/demo/crowd", '{"within_s": -1}'),
        ("/demo/crowd", '{"within_s": 61}'),
        ("/demo/crowd", '{"hot": 1}'),
        ("/demo/crowd", '{"password": "x"}'),
        ("/demo/crowd", "[]"),
        ("/demo/crowd", "{"),
        ("/demo/crowd", ""),
        ("/demo/kitchen", '{"mode": "off"}'),
        ("/demo/kitchen", "{}"),
    ],
)
async def test_a_body_beyond_its_limits_is_refused(
    client: httpx.AsyncClient, keys: SigningKeys, path: str, content: str
) -> None:
    method = "PUT" if path == "/demo/kitchen" else "POST"
    headers = {**PAGE, **cookie(keys), "content-type": "application/json"}
    assert is_problem(await client.request(method, path, content=content, headers=headers), 400)


@pytest.mark.parametrize("path", ["/", "/demo/members", "/demo/members/stock", "/metrics", "/health"])
async def test_another_address_is_refused(client: httpx.AsyncClient, path: str) -> None:
    assert is_problem(await client.get(path), 404)


async def test_another_method_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/demo/members/stock/off")
    assert is_problem(answer, 405)
    assert "POST" in answer.headers["allow"]
