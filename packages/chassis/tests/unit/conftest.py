"""Fixtures of the unit tests: a small app, an HTTP client for it, and a signer of tokens in place of identity."""

import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cafeteria.chassis.app import ServiceApp, build_app
from cafeteria.chassis.process import serving
from cafeteria.chassis.runtime.settings import ServiceSettings, load_settings
from cafeteria.contracts.identity import Jwk, Jwks

REQUIRED = {
    "CAFETERIA_POSTGRES_URL": "postgresql://127.0.0.1:5432/cafeteria",
    "CAFETERIA_POSTGRES_PASSWORD": "pg-hidden",
    "CAFETERIA_NATS_URL": "nats://127.0.0.1:4222",
    "CAFETERIA_NATS_PASSWORD": "nats-hidden",
}

PLAIN = ssl.create_default_context()
"""No test uses TLS; a client without a context would spend 50 ms on loading certificates."""

Connect = Callable[[ServiceApp], AbstractAsyncContextManager[httpx.AsyncClient]]


class Signer:
    """Signs valid tokens, as identity does, and forged ones."""

    def __init__(self, kid: str = "key-1") -> None:
        self.kid = kid
        self.private = Ed25519PrivateKey.generate()

    @property
    def jwks(self) -> Jwks:
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return Jwks(keys=(Jwk(kid=self.kid, x=base64.urlsafe_b64encode(raw).rstrip(b"=").decode()),))

    def token(self, *, algorithm: str = "EdDSA", key: Any = None, kid: Any = None, **changed: Any) -> str:
        """Return a token. `changed` replaces claims; None omits one."""
        now = datetime.now(UTC)
        claims = {
            "iss": "cafeteria-identity",
            "aud": "cafeteria",
            "sub": "210041101",
            "role": "student",
            "sid": "0193a400-0000-7000-8000-00000000005e",
            "iat": now,
            "exp": now + timedelta(minutes=15),
        }
        claims = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        return jwt.encode(
            claims,
            self.private if key is None else key,
            algorithm=algorithm,
            headers={"kid": kid or self.kid},
        )

    async def fetch(self) -> Jwks:
        return self.jwks


@pytest.fixture
def environ() -> dict[str, str]:
    return dict(REQUIRED)


@pytest.fixture(scope="session")
def settings() -> ServiceSettings:
    return load_settings(
        ServiceSettings,
        # any free port, because no port belongs to a service that is made up
        {**REQUIRED, "CAFETERIA_ALLOWED_ORIGINS": "https://canteen.example", "CAFETERIA_PORT": "0"},
    )


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture(scope="session")
def make_signer() -> type[Signer]:
    return Signer


@pytest.fixture(scope="session")
def make_app(settings: ServiceSettings) -> Callable[..., ServiceApp]:
    def make(*route_handlers: Any, **options: Any) -> ServiceApp:
        options = {"service": "probe", "settings": settings, "checks": {}, **options}
        return build_app(route_handlers=route_handlers, **options)

    return make


@pytest.fixture(scope="session")
def connect() -> Connect:
    @asynccontextmanager
    async def connect(app: ServiceApp) -> AsyncIterator[httpx.AsyncClient]:
        async with serving(app) as url, httpx.AsyncClient(base_url=url, verify=PLAIN) as client:
            yield client

    return connect
