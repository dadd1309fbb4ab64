"""Identity's HTTP door: bodies, cookies and addresses become calls of the service, and nothing is decided here.

A browser that asks for cookies gets three, all HttpOnly: the access token for every path, and the refresh token
twice, each time only for the one address that needs it, because a cookie has one path and no other request should
carry the token.
"""

from collections.abc import Sequence
from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import Cookie, State
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from cafeteria.chassis.auth.tokens import ACCESS_COOKIE, SignedInRequest, requires
from cafeteria.chassis.http.cors import Origins
from cafeteria.chassis.http.forwarding import Sender, TrustedProxies
from cafeteria.chassis.http.openapi import refusals
from cafeteria.chassis.http.request_headers import read_cookie
from cafeteria.chassis.runtime.errors import Forbidden
from cafeteria.contracts import identity
from cafeteria.contracts.values import Role
from cafeteria.identity.errors import (
    InvalidCredentials,
    RefreshRefused,
    StudentIdTaken,
    TooManyAttempts,
)
from cafeteria.identity.service import Identity, Session
from cafeteria.identity.settings import IdentitySettings

REFRESH_COOKIE = "cafeteria_refresh"
LOGOUT_COOKIE = "cafeteria_logout"
COOKIE_PATHS = {ACCESS_COOKIE: "/", REFRESH_COOKIE: "/v1/token", LOGOUT_COOKIE: "/v1/logout"}

JWKS_MAX_AGE_S = 300  # a new key is handed out by the bus at once; browsers and tools may wait this long
NO_STORE = {"Cache-Control": "no-store"}

_SESSIONS = ["sessions"]
_PEOPLE = ["people"]

AnyRequest = Request[Any, Any, State]


@post(
    "/v1/login",
    status_code=200,
    summary="Sign in",
    tags=_SESSIONS,
    responses=refusals(InvalidCredentials, Forbidden, TooManyAttempts),
)
async def login(data: JSONBody[identity.Login], request: AnyRequest) -> Response[identity.Tokens]:
    """At most three attempts a minute per student id and address, right ones included."""
    if data.cookie:
        _check_page(request)
    session = await _service(request).login(data, client=_sender(request).address)
    return _answer(session, request, with_cookies=data.cookie)


@post(
    "/v1/token/refresh",
    status_code=200,
    summary="Trade a refresh token for new tokens",
    tags=_SESSIONS,
    responses=refusals(RefreshRefused, Forbidden),
)
async def refresh(
    request: AnyRequest, data: JSONBody[identity.RefreshToken | None] = None
) -> Response[identity.Tokens]:
    """A refresh token is good for 10 s from its first use; later its session ends. Without a body the cookie counts."""
    asked = data or identity.RefreshToken()
    if asked.cookie:
        _check_page(request)
    by_cookie = not asked.refresh_token
    token = _cookie(request, REFRESH_COOKIE) if by_cookie else asked.refresh_token
    session = await _service(request).refresh(token)
    return _answer(session, request, with_cookies=asked.cookie or by_cookie)


@post("/v1/logout", status_code=204, summary="End the session", tags=_SESSIONS, responses=refusals(Forbidden))
async def logout(request: AnyRequest, data: JSONBody[identity.Logout | None] = None) -> Response[None]:
    """Also for tokens that are unknown or have expired. Without a body the cookie counts."""
    token = data.refresh_token if data and data.refresh_token else _cookie(request, LOGOUT_COOKIE)
    if token:
        await _service(request).logout(token)
    return Response(None, status_code=204, cookies=_cookies(request, {}))


@get("/v1/me", before_request=requires(), summary="Who am I?", tags=_PEOPLE)
async def me(request: SignedInRequest) -> identity.Student:
    return await _service(request).find(request.user.student_id)


@post(
    "/v1/students",
    before_request=requires(Role.OPERATOR),
    summary="Register somebody (operators only)",
    tags=_PEOPLE,
    responses=refusals(StudentIdTaken),
)
async def register(data: JSONBody[identity.CreateStudent], request: SignedInRequest) -> identity.Student:
    return await _service(request).register(data)


@get("/.well-known/jwks.json", summary="Public keys that verify access tokens", tags=_SESSIONS)
async def jwks(request: AnyRequest) -> Response[identity.Jwks]:
    return Response(_service(request).jwks, headers={"Cache-Control": f"public, max-age={JWKS_MAX_AGE_S}"})


ROUTES: Sequence[ControllerRouterHandler] = (login, refresh, logout, me, register, jwks)


def _service(request: Request[Any, Any, State]) -> Identity:
    service: Identity = request.app.state.identity
    return service


def _settings(request: AnyRequest) -> IdentitySettings:
    settings: IdentitySettings = request.app.state.settings
    return settings


def _sender(request: AnyRequest) -> Sender:
    proxies: TrustedProxies = request.app.state.proxies
    peer = request.client.host if request.client else None
    return proxies.sender(peer, request.scope["headers"])


def _is_secure(request: AnyRequest) -> bool:
    """Did the client come by https, as far as we or a trusted proxy can tell?"""
    if _settings(request).secure_cookies or request.url.scheme == "https":
        return True
    return _sender(request).is_https


def _cookie(request: AnyRequest, name: str) -> str | None:
    """A cookie's token, unless a page that may not use this service made the browser send it."""
    token = read_cookie(request.scope["headers"], name.encode())
    if token is None:
        return None
    _check_page(request)
    return token.decode("latin-1")


def _check_page(request: AnyRequest) -> None:
    """Cookies are given to, and taken from, pages of this host and of allowed origins; others send no Origin."""
    origin = request.headers.get("origin")
    origins: Origins = request.app.state.origins
    if origin is None:
        return
    if not origins.trusts(_raw(origin), host=_raw(request.headers.get("host", ""))):
        raise Forbidden("Pages of this origin may not use cookies of this service. Nothing was done.")


def _raw(header: str) -> bytes:
    return header.encode("latin-1")


def _answer(session: Session, request: AnyRequest, *, with_cookies: bool) -> Response[identity.Tokens]:
    tokens, renewable_s = session.tokens, session.renewable_s
    values = {
        ACCESS_COOKIE: (tokens.access_token, tokens.expires_in),
        REFRESH_COOKIE: (tokens.refresh_token, renewable_s),
        LOGOUT_COOKIE: (tokens.refresh_token, renewable_s),
    }
    return Response(tokens, headers=NO_STORE, cookies=_cookies(request, values) if with_cookies else [])


def _cookies(request: AnyRequest, values: dict[str, tuple[str, int]]) -> list[Cookie]:
    """A cookie without a value and a lifetime in seconds is taken back from the browser."""
    is_secure = _is_secure(request)
    return [
        Cookie(
            key=name,
            value=values.get(name, ("", 0))[0],
            max_age=values.get(name, ("", 0))[1],
            path=path,
            httponly=True,
            samesite="lax",
            secure=is_secure,
        )
        for name, path in COOKIE_PATHS.items()
    ]
