"""Only identity's tokens are accepted, and a cookie alone does not let another site's page change anything."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import jwt
import msgspec
import pytest
from litestar import get, post

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.auth import tokens
from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.auth.tokens import Principal, SignedInRequest, TokenVerifier, requires
from cafeteria.chassis.runtime.errors import Unauthenticated
from cafeteria.contracts.identity import Jwks
from cafeteria.contracts.values import Role


@get("/me", before_request=requires())
async def me(request: SignedInRequest) -> Principal:
    return request.user


@post("/cook", before_request=requires(Role.KITCHEN, Role.OPERATOR))
async def cook(request: SignedInRequest) -> str:
    return request.user.role


@post("/order", before_request=requires(Role.STUDENT))
async def order(request: SignedInRequest) -> str:
    return request.user.subject


@pytest.fixture(scope="module")
def signer(make_signer: Any) -> Any:
    """The signer whose keys the client's service has fetched."""
    return make_signer()


@pytest.fixture(scope="module")
async def client(
    make_app: Callable[..., ServiceApp], connect: Any, signer: Any
) -> AsyncIterator[httpx.AsyncClient]:
    keys = KeySource(signer.fetch)
    await keys.refresh()
    async with connect(make_app(me, cook, order, keys=keys)) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_a_token_of_identity_is_accepted(client: httpx.AsyncClient, signer: Any) -> None:
    answer = await client.get("/me", headers=bearer(signer.token()))
    principal = msgspec.json.decode(answer.content, type=Principal)
    assert (principal.subject, principal.role) == ("210041101", Role.STUDENT)
    assert principal.expires_at > datetime.now(UTC)


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
async def test_the_scheme_is_bearer_in_any_case(client: httpx.AsyncClient, signer: Any, scheme: str) -> None:
    answer = await client.get("/me", headers={"authorization": f"{scheme} {signer.token()}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("header", [None, "Bearer", "Token x", "Basic eDp5", "x"])
async def test_without_a_token_the_answer_is_401_with_a_challenge(
    client: httpx.AsyncClient, header: str | None
) -> None:
    answer = await client.get("/me", headers={"authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="cafeteria"'
    assert answer.json()["type"] == "/problems/unauthenticated"


def ago(**time: float) -> datetime:
    return datetime.now(UTC) - timedelta(**time)


def signed_with_public_key(signer: Any) -> str:
    """Forge a token with HMAC and the public key as the secret: some verifiers let the token name its algorithm."""
    head = encoded_part({"alg": "HS256", "typ": "JWT", "kid": signer.kid})
    body = signer.token().split(".")[1]
    secret = signer.jwks.keys[0].x.encode()
    signature = hmac.new(secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{jwt.utils.base64url_encode(signature).decode()}"


def unsigned(signer: Any) -> str:
    return f"{encoded_part({'alg': 'none', 'kid': signer.kid})}.{signer.token().split('.')[1]}."


def without_claim(claim: str, signer: Any) -> str:
    return signer.token(**{claim: None})


def encoded_part(value: dict[str, Any]) -> str:
    return jwt.utils.base64url_encode(msgspec.json.encode(value)).decode()


FORGERIES: dict[str, Callable[[Any], str]] = {
    "garbage": lambda _: "garbage",
    "three empty parts": lambda _: "..",
    "too long": lambda _: "x" * 5000,
    "expired": lambda signer: signer.token(exp=ago(seconds=31)),
    "subject with a colon": lambda signer: signer.token(sub="210041101:x"),
    "subject with NUL": lambda signer: signer.token(sub="210041101\0"),
    "subject with a line's end": lambda signer: signer.token(sub="210041101\n"),
    "subject without a character": lambda signer: signer.token(sub=""),
    "subject in other digits": lambda signer: signer.token(sub="২১০০৪১১০১"),
    "subject too long": lambda signer: signer.token(sub="2" * 33),
    "subject of a thousand characters": lambda signer: signer.token(sub="2" * 1000),
    "another audience": lambda signer: signer.token(aud="elsewhere"),
    "another issuer": lambda signer: signer.token(iss="someone"),
    "an unknown role": lambda signer: signer.token(role="king"),
    "an endless time": lambda signer: signer.token(exp=10**18),
    **{f"no {claim}": partial(without_claim, claim) for claim in tokens.REQUIRED_CLAIMS},
    "HS256": lambda signer: signer.token(algorithm="HS256", key="k" * 32),
    "HS256 with the public key": signed_with_public_key,
    "no algorithm": unsigned,
    "another key under our kid": lambda signer: type(signer)(signer.kid).token(),
    "an unknown kid": lambda signer: signer.token(kid="key-2"),
    "a changed body": lambda signer: "A".join(signer.token().rsplit(".", 1)),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_forged_or_expired_token_is_401(
    client: httpx.AsyncClient, signer: Any, forge: Callable[[Any], str]
) -> None:
    answer = await client.get("/me", headers=bearer(forge(signer)))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="cafeteria", error="invalid_token"'


async def test_clocks_may_differ_by_the_leeway(client: httpx.AsyncClient, signer: Any) -> None:
    for token in (signer.token(iat=ago(seconds=-86_400)), signer.token(exp=ago(seconds=20))):
        assert (await client.get("/me", headers=bearer(token))).status_code == 200


async def test_a_verifier_may_have_a_leeway_of_its_own(signer: Any) -> None:
    keys = KeySource(signer.fetch)
    await keys.refresh()
    verifier = TokenVerifier(keys, leeway_s=3_600)
    assert await verifier.verify(signer.token(exp=ago(seconds=3_500)).encode())
    with pytest.raises(Unauthenticated, match="expired"):
        await verifier.verify(signer.token(exp=ago(seconds=3_700)).encode())


@pytest.mark.parametrize("skew_s", [-90, 90])
async def test_a_token_is_accepted_until_it_expires_whatever_its_issue_time(
    client: httpx.AsyncClient, signer: Any, skew_s: int
) -> None:
    """The issue time is not checked. Ninety seconds are more than the leeway of the expiry."""
    token = signer.token(iat=ago(seconds=-skew_s), exp=ago(seconds=-skew_s - 900))
    assert (await client.get("/me", headers=bearer(token))).status_code == 200
    expired = signer.token(iat=ago(seconds=-skew_s), exp=ago(seconds=40))
    assert (await client.get("/me", headers=bearer(expired))).status_code == 401


async def test_a_role_may_use_only_its_own_routes(client: httpx.AsyncClient, signer: Any) -> None:
    refused = await client.post("/cook", headers=bearer(signer.token()))
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    accepted = await client.post("/cook", headers=bearer(signer.token(role="kitchen")))
    assert (accepted.status_code, accepted.text) == (201, "kitchen")


async def test_a_cookie_is_accepted_too_and_a_header_takes_precedence(
    client: httpx.AsyncClient, signer: Any
) -> None:
    cookie = {"cookie": f"theme=dark; cafeteria_access={signer.token()}; x=1"}
    assert (await client.get("/me", headers=cookie)).status_code == 200
    other = {**cookie, **bearer(signer.token(sub="210041102"))}
    assert (await client.get("/me", headers=other)).json()["subject"] == "210041102"
    assert (await client.get("/me", headers={**cookie, "authorization": "Basic x"})).status_code == 401
    assert (await client.get("/me", headers={"cookie": "cafeteria_access="})).status_code == 401


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://{host}", 201),
        ("https://canteen.example", 201),
        (None, 201),
        ("null", 403),
        ("https://evil.example", 403),
        ("https://{host}.evil.example", 403),
    ],
)
async def test_with_a_cookie_only_allowed_origins_may_change_anything(
    client: httpx.AsyncClient, signer: Any, origin: str | None, status: int
) -> None:
    host = client.base_url.netloc.decode()
    headers = {"cookie": f"cafeteria_access={signer.token()}"} | (
        {"origin": origin.format(host=host)} if origin else {}
    )
    assert (await client.post("/order", headers=headers)).status_code == status


async def test_with_a_header_any_origin_may_change_anything(client: httpx.AsyncClient, signer: Any) -> None:
    headers = {**bearer(signer.token()), "origin": "https://evil.example"}
    assert (await client.post("/order", headers=headers)).status_code == 201


async def test_without_any_key_the_answer_is_503_and_not_401(
    make_app: Callable[..., ServiceApp], connect: Any, signer: Any
) -> None:
    async def fail() -> Jwks:
        raise ConnectionError("identity is away")

    async with connect(make_app(me, keys=KeySource(fail))) as client:
        answer = await client.get("/me", headers=bearer(signer.token()))
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        assert answer.headers["retry-after"]
        ready = await client.get("/health/ready")
        assert ready.json()["dependencies"] == {"keys": "unavailable: identity has not given its keys yet"}


async def test_a_verified_token_is_not_verified_again_until_it_expires(
    signer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeySource(signer.fetch)
    await keys.refresh()
    verifier = TokenVerifier(keys)
    token = signer.token().encode()
    first = await verifier.verify(token)
    decoded: list[Any] = []
    decode = jwt.decode

    def record_and_decode(*args: Any, **options: Any) -> Any:
        decoded.append(args)
        return decode(*args, **options)

    monkeypatch.setattr(jwt, "decode", record_and_decode)
    assert await verifier.verify(token) is first
    assert decoded == []
    late = first.expires_at.timestamp() + 1
    monkeypatch.setattr(tokens, "time", lambda: late)
    await verifier.verify(token)
    assert len(decoded) == 1


async def test_the_token_cache_is_bounded_and_drops_the_least_recently_used(
    signer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "REMEMBERED_TOKENS", 2)
    keys = KeySource(signer.fetch)
    await keys.refresh()
    verifier = TokenVerifier(keys)
    first, second, third = (signer.token(sub=f"student-{number}").encode() for number in range(3))
    for token in (first, second, first, third):
        await verifier.verify(token)
    assert list(verifier._verified) == [first, third]


async def test_tokens_of_a_withdrawn_key_are_refused(
    make_signer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_signer("old"), make_signer("new")
    published = [old.jwks]

    async def fetch() -> Jwks:
        return published[-1]

    keys = KeySource(fetch)
    await keys.refresh()
    verifier = TokenVerifier(keys)
    token = old.token().encode()
    await verifier.verify(token)
    published.append(new.jwks)
    await keys.refresh()
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


async def test_an_app_with_a_guarded_route_and_no_keys_does_not_start(
    make_app: Callable[..., ServiceApp],
) -> None:
    with pytest.raises(RuntimeError, match="no keys"):
        make_app(me)


def test_requires_is_refused_as_one_of_litestars_guards(
    make_app: Callable[..., ServiceApp], signer: Any
) -> None:
    guard: Any = requires()  # the mistake under test: its type says that it is no guard of Litestar's

    @get("/guarded", guards=[guard])
    async def guarded() -> None: ...

    with pytest.raises(RuntimeError, match="not one of its guards"):
        make_app(guarded, keys=KeySource(signer.fetch))
