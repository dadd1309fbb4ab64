"""Authentication: only this module verifies access tokens, with public keys alone.

Only EdDSA is accepted; the service names the algorithm, never the token. Verifying costs 0.2 ms, so a verified
token is cached by its bytes until it expires.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from time import time
from typing import Any
from uuid import UUID

import jwt
import msgspec
from litestar import Request
from litestar.datastructures import State

from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.http.cookies import SecretCookie
from cafeteria.chassis.http.request_headers import RequestHeaders, read_header
from cafeteria.chassis.http.request_target import check_query
from cafeteria.chassis.http.trusted_pages import TrustedPages
from cafeteria.chassis.runtime.errors import Forbidden, Unauthenticated
from cafeteria.contracts.values import Role

ALGORITHM = "EdDSA"
ISSUER = "cafeteria-identity"
AUDIENCE = "cafeteria"
LEEWAY_S = 30
"""How far the clocks of two machines may differ."""

ACCESS_COOKIE = SecretCookie("cafeteria_access")
MAX_TOKEN_BYTES = 4096
REMEMBERED_TOKENS = 8192
"""About 1 KiB each; a rush has hundreds of students."""

REQUIRED_CLAIMS = ("iss", "aud", "exp", "iat", "sub", "role", "sid")

_SUBJECT = re.compile(r"[A-Za-z0-9-]{1,32}")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_REFUSED_CHALLENGE = 'Bearer realm="cafeteria", error="invalid_token"'


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in person; `subject` is the token's claim `sub`, and `session` its claim `sid`."""

    subject: str
    role: Role
    session: UUID
    expires_at: datetime


SignedInRequest = Request[Principal, Principal, State]
"""The type of `request` in a handler that `requires` guards."""


class TokenVerifier:
    """Turns a token's bytes into its Principal. A token counts until `leeway_s` seconds after its end."""

    def __init__(self, keys: KeySource, *, leeway_s: int = LEEWAY_S) -> None:
        self._keys = keys
        self._leeway_s = leeway_s
        self._verified: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._generation = keys.generation

    async def verify(self, token: bytes) -> Principal:
        """The token's Principal. Raises Unauthenticated, or Unavailable while no key is known."""
        if self._generation != self._keys.generation:
            self._generation = self._keys.generation
            self._verified.clear()
        cached = self._verified.get(token)
        if cached is not None and cached[0] > time():
            self._verified.move_to_end(token)
            return self._of_live_session(cached[1])
        principal = self._of_live_session(await self._verify_signature(token))
        self._verified[token] = (principal.expires_at.timestamp(), principal)
        if len(self._verified) > REMEMBERED_TOKENS:
            self._verified.popitem(last=False)
        return principal

    def _of_live_session(self, principal: Principal) -> Principal:
        if principal.session in self._keys.revoked:
            raise Unauthenticated("This session was ended: sign in again.", challenge=_REFUSED_CHALLENGE)
        return principal

    async def _verify_signature(self, token: bytes) -> Principal:
        if len(token) > MAX_TOKEN_BYTES:
            raise _refused("it is too long")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise _refused("it is not a token of this system") from None
        kid = header.get("kid")
        if header.get("alg") != ALGORITHM or not isinstance(kid, str):
            raise _refused("it is not signed as tokens of this system are")
        key = await self._keys.find(kid)
        if key is None:
            raise _refused("it is signed with a key that identity does not have")
        return _principal(_decode(token, key, leeway_s=self._leeway_s))


def requires(*roles: Role) -> "Guard":
    """For a route's `before_request`: any signed-in person, or one of `roles`. The handler reads `request.user`.

    Litestar's `guards` could do this, but each costs a copy of the route's handler: 17 µs for every request.
    """
    return Guard(roles)


class Guard:
    """Sets the request's user, or refuses; then checks the query. Needs the verifier and pages of the app's state."""

    def __init__(self, roles: tuple[Role, ...]) -> None:
        self.roles = frozenset(roles)

    def refused_statuses(self, method: str) -> Iterator[int]:
        """The statuses of its refusals, for the OpenAPI document."""
        yield Unauthenticated.status
        if self.roles or method not in _SAFE_METHODS:
            yield Forbidden.status

    async def __call__(self, request: Request[Any, Any, Any]) -> None:
        sent = _bearer_token(request.scope["headers"])
        token = sent or _cookie_token(request)
        principal = await request.app.state.token_verifier.verify(token)
        # before the refusals, because their log lines name the subject
        request.scope["user"] = request.scope["auth"] = principal
        if sent is None and request.scope["method"] not in _SAFE_METHODS:
            _pages_of(request).check(request)
        if self.roles and principal.role not in self.roles:
            raise Forbidden(
                f"This needs the role {' or '.join(sorted(self.roles))}; you are {principal.role}."
            )
        await check_query(request)


def _bearer_token(headers: RequestHeaders) -> bytes | None:
    """The token of the Authorization header, which is never empty; None without the header."""
    authorization = read_header(headers, b"authorization")
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not token.strip(b" "):
        raise Unauthenticated("The Authorization header must be `Bearer <access token>`.")
    return token.strip(b" ")


def _cookie_token(request: Request[Any, Any, Any]) -> bytes:
    is_https_alone = _pages_of(request).is_https_alone
    cookie = ACCESS_COOKIE.read(request.scope["headers"], is_https_alone=is_https_alone)
    if cookie is None:
        raise Unauthenticated("Sign in first: no access token was sent.")
    return cookie


def _pages_of(request: Request[Any, Any, Any]) -> TrustedPages:
    pages: TrustedPages = request.app.state.pages
    return pages


def _decode(token: bytes, key: Any, *, leeway_s: int) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=leeway_s,
            # `iat` decides nothing: a service whose clock is slow must not refuse a token that has not expired
            options={"require": list(REQUIRED_CLAIMS), "verify_iat": False},
        )
    except jwt.ExpiredSignatureError:
        raise _refused("it has expired: refresh it or sign in again") from None
    except jwt.InvalidTokenError:
        raise _refused("its signature or its claims are wrong") from None


def _principal(claims: dict[str, Any]) -> Principal:
    subject = claims["sub"]
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise _refused("it names nobody who could have signed in here")
    try:
        return Principal(
            subject=subject,
            role=Role(claims["role"]),
            session=_session(claims["sid"]),
            expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        )
    except (
        ValueError,
        OverflowError,
        TypeError,
        OSError,
    ):  # OSError: a time beyond the platform's range
        raise _refused("its claims are not of this system") from None


def _session(claim: Any) -> UUID:
    """The claim's UUID. Raises ValueError for any form but the one that identity writes."""
    session = UUID(claim) if isinstance(claim, str) else None
    if session is None or str(session) != claim:
        raise ValueError("not a session")
    return session


def _refused(reason: str) -> Unauthenticated:
    return Unauthenticated(f"The access token was not accepted: {reason}.", challenge=_REFUSED_CHALLENGE)


__all__ = [
    "ACCESS_COOKIE",
    "ALGORITHM",
    "AUDIENCE",
    "ISSUER",
    "LEEWAY_S",
    "Guard",
    "KeySource",
    "Principal",
    "SignedInRequest",
    "TokenVerifier",
    "requires",
]
