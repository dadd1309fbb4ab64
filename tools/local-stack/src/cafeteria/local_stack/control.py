"""The demo controls over HTTP, served by the supervisor on a loopback port that the edge alone is told.

Nobody but an operator whose browser is on this machine may change something. The token is verified with the key file of
identity, so that this works while identity is away; the same reason lets a token count for hours after its end. A browser
drops the cookie with an access token at that end, so these addresses keep the token in a cookie of their own. No other
address of the system accepts it.
"""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from typing import Annotated, Any

import msgspec
from litestar import Litestar, Request, Response, delete, get, post, put
from litestar.datastructures import Cookie, State
from litestar.params import FromPath, JSONBody
from litestar.routes import HTTPRoute
from litestar.types import HTTPScope

from cafeteria.chassis.app import AppContext, ServiceApp
from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.auth.tokens import ACCESS_COOKIE, Principal, SignedInRequest, TokenVerifier
from cafeteria.chassis.http.connection_limits import ConnectionLimits
from cafeteria.chassis.http.cookies import SecretCookie
from cafeteria.chassis.http.cors import Origins
from cafeteria.chassis.http.forwarding import TrustedProxies
from cafeteria.chassis.http.request_body import prepare_body
from cafeteria.chassis.http.request_headers import HeaderUnusable, read_header
from cafeteria.chassis.http.request_log import RequestLog
from cafeteria.chassis.http.request_target import check_query, prepare_query
from cafeteria.chassis.http.trusted_pages import TrustedPages
from cafeteria.chassis.http.uvicorn_server import HttpServer
from cafeteria.chassis.runtime.addresses import parse_url
from cafeteria.chassis.runtime.errors import Forbidden, OriginRefused, Unauthenticated
from cafeteria.contracts.identity import Jwks
from cafeteria.contracts.subjects import IDENTITY
from cafeteria.contracts.values import Role
from cafeteria.local_stack.demo import Demo, DemoControls, KitchenMode
from cafeteria.local_stack.stack import Stack

EXPIRED_FOR_S = 12 * 3600
"""How long a token counts after its end: identity may be switched off for as long as a demonstration lasts."""

KEPT_COOKIE = SecretCookie("cafeteria_demo", path="/demo", same_site="strict")

CONNECTIONS = 64
"""For the edge, and for people's own requests on this machine."""

Students = Annotated[int, msgspec.Meta(ge=1, le=200)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=60)]

AnyRequest = Request[Any, Any, State]

logger = logging.getLogger(__name__)


class SetKitchen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mode: KitchenMode


class StartCrowd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many students begin to order within so many seconds; `hot`: all of them order one item."""

    students: Students = 200
    within_s: Seconds = 10
    hot: bool = False


async def require_operator(request: AnyRequest) -> None:
    """For a change: an operator's cookie, and a page of this very address. Raises Forbidden and Unauthenticated.

    A page of another site that had its own name resolved to this machine is refused by that name. A browser tells a
    page's origin with each change, so a request that tells none is refused, too.
    """
    await require_local(request)
    if read_header(request.scope["headers"], b"origin") is None:
        raise OriginRefused("A change needs the origin of the page that makes it. Nothing was done.")
    pages: TrustedPages = request.app.state.pages
    pages.check(request)
    principal = await _principal(request, ACCESS_COOKIE, KEPT_COOKIE)
    if principal.role is not Role.OPERATOR:
        raise Forbidden(f"Only operators may do this; you are {principal.role}. Nothing was done.")
    request.scope["user"] = request.scope["auth"] = principal


async def require_local(request: AnyRequest) -> None:
    """Raise Forbidden unless the request names this machine as its host."""
    host = read_header(request.scope["headers"], b"host") or b""
    if not is_local(host.decode("latin-1")):
        raise Forbidden("The demo controls answer to localhost alone: open the pages on this machine.")
    await check_query(request)


def is_local(host: str) -> bool:
    """Whether a Host header names this machine: a loopback address, `localhost`, or a name under it."""
    address = parse_url(f"http://{host}", scheme="http")
    if address is None or address.rest:
        return False
    name = address.host.lower()
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


@get("/demo", before_request=require_local)
async def read_demo(request: AnyRequest) -> Response[Demo]:
    """The state of the members, the kitchen's mode and the last crowd. It names no secret."""
    return await _answer(request)


@post("/demo/members/{name:str}/{action:str}", before_request=require_operator, status_code=200)
async def switch_member(
    request: SignedInRequest, state: State, name: FromPath[str], action: FromPath[str]
) -> Response[Demo]:
    """`off` kills a member, which stays away until `on`; `kill` lets it come back; `freeze` and `thaw`."""
    await _controls(state).act(name, action)
    return await _changed(request, f"{name} {action}")


@put("/demo/kitchen", before_request=require_operator)
async def set_kitchen(request: SignedInRequest, state: State, data: JSONBody[SetKitchen]) -> Response[Demo]:
    """Restart the kitchen, so that it cooks by itself or waits for people."""
    await _controls(state).set_kitchen_mode(data.mode)
    return await _changed(request, f"the kitchen is {data.mode}")


@post("/demo/crowd", before_request=require_operator, status_code=202)
async def start_crowd(request: SignedInRequest, state: State, data: JSONBody[StartCrowd]) -> Response[Demo]:
    """Let a crowd of students order; one at a time."""
    await _controls(state).start_crowd(students=data.students, within_s=data.within_s, hot=data.hot)
    return await _changed(request, f"{data.students} students order")


@delete("/demo/crowd", before_request=require_operator, status_code=200)
async def stop_crowd(request: SignedInRequest, state: State) -> Response[Demo]:
    """Let the crowd order no more. It ends once it has asked for the orders that it was promised."""
    _controls(state).stop_crowd()
    return await _changed(request, "the crowd stops")


@asynccontextmanager
async def demo_controls(stack: Stack, listener: socket.socket) -> AsyncIterator[None]:
    """Serve the controls of a running stack on a bound socket; leaving the context ends a crowd, too."""
    controls = DemoControls(stack)
    app = build_app(controls, await _verifier(stack))
    limits = ConnectionLimits(total=CONNECTIONS, per_address=0, proxies=(), registry=app.registry)
    server = HttpServer(app, app.closing, limits, is_https_alone=False)
    async with server.listening(listener, accepted_at_once=1):
        try:
            yield
        finally:
            await controls.close()


def build_app(controls: DemoControls, verifier: TokenVerifier) -> ServiceApp:
    context = AppContext()
    app = ServiceApp(
        context=context,
        origins=Origins(()),
        shed_load=lambda: None,
        request_log=_NoRequestLog(
            TrustedProxies(()), names_clients=False, quiet_routes=frozenset(), registry=context.registry
        ),
        route_handlers=[read_demo, switch_member, set_kitchen, start_crowd, stop_crowd],
        state=State({"controls": controls, "token_verifier": verifier, "pages": _own_pages()}),
        openapi_config=None,
    )
    _prepare(app)
    return app


class _NoRequestLog(RequestLog):
    """Pages ask once a second, and a person reads this terminal: it gets a line for each change alone."""

    def write(self, scope: HTTPScope, *, method: str, route: str, status: int, took_s: float) -> None:
        pass


def _own_pages() -> TrustedPages:
    """Pages whose origin is the scheme and Host of their request: Host is checked to be local."""
    return TrustedPages(public=(), allowed=(), proxies=TrustedProxies(()), is_https_alone=False)


def _prepare(app: Litestar) -> None:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                prepare_body(handler)
                prepare_query(handler)


async def _verifier(stack: Stack) -> TokenVerifier:
    """Verify with the key file that identity signs with, read again for an unknown key."""
    from cafeteria.identity.signing_keys import SigningKeys  # noqa: PLC0415 - a slow import

    async def read() -> Jwks:
        return SigningKeys.load(stack.environment_of(IDENTITY)["IDENTITY_SIGNING_KEY_FILE"]).jwks

    keys = KeySource(read)
    await keys.refresh()
    return TokenVerifier(keys, leeway_s=EXPIRED_FOR_S)


def _controls(state: State) -> DemoControls:
    controls: DemoControls = state.controls
    return controls


async def _changed(request: SignedInRequest, change: str) -> Response[Demo]:
    """Log who has changed something, and return the new state."""
    logger.info("demo: %s, by %s", change, request.user.subject)
    return await _answer(request)


async def _answer(request: AnyRequest) -> Response[Demo]:
    """Return the state; to an operator's browser also the cookie in which it keeps the token."""
    return Response(await _controls(request.app.state).status(), cookies=await _kept_cookies(request))


async def _kept_cookies(request: AnyRequest) -> list[Cookie]:
    """Return the cookie that the browser of a signed-in operator lacks."""
    with suppress(Unauthenticated, HeaderUnusable):
        token = _read(ACCESS_COOKIE, request)
        if token != _read(KEPT_COOKIE, request):
            principal = await _principal(request, ACCESS_COOKIE)
            if principal.role is Role.OPERATOR:
                return [KEPT_COOKIE.set_to((token or b"").decode(), max_age_s=EXPIRED_FOR_S, is_secure=False)]
    return []


async def _principal(request: AnyRequest, *cookies: SecretCookie) -> Principal:
    """Return who the first cookie with a valid token names. Raises Unauthenticated."""
    verifier: TokenVerifier = request.app.state.token_verifier
    refusal = Unauthenticated("Sign in first: no access token was sent.")
    for token in (_read(cookie, request) for cookie in cookies):
        try:
            if token is not None:
                return await verifier.verify(token)
        except Unauthenticated as error:
            refusal = error
    raise refusal


def _read(cookie: SecretCookie, request: AnyRequest) -> bytes | None:
    return cookie.read(request.scope["headers"], is_https_alone=False)
