"""The demo controls over HTTP, served by the supervisor on a loopback port that the edge alone is told.

Nobody but an operator whose browser is on this machine may change something. The token is verified with the key file of
identity, so that this works while identity is away; the same reason lets a token count for hours after its end. No other
address of the system accepts such a token.
"""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Annotated, Any

import msgspec
from litestar import Litestar, Request, delete, get, post, put
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from litestar.routes import HTTPRoute
from litestar.types import HTTPScope

from cafeteria.chassis.app import AppContext, ServiceApp
from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.auth.tokens import Guard, SignedInRequest, TokenVerifier
from cafeteria.chassis.http.connection_limits import ConnectionLimits
from cafeteria.chassis.http.cors import Origins
from cafeteria.chassis.http.forwarding import TrustedProxies
from cafeteria.chassis.http.request_body import prepare_body
from cafeteria.chassis.http.request_headers import read_header
from cafeteria.chassis.http.request_log import RequestLog
from cafeteria.chassis.http.request_target import check_query, prepare_query
from cafeteria.chassis.http.trusted_pages import TrustedPages
from cafeteria.chassis.http.uvicorn_server import HttpServer
from cafeteria.chassis.runtime.addresses import parse_url
from cafeteria.chassis.runtime.errors import Forbidden, OriginRefused
from cafeteria.contracts.identity import Jwks
from cafeteria.contracts.subjects import IDENTITY
from cafeteria.contracts.values import Role
from cafeteria.local_stack.demo import Demo, DemoControls, KitchenMode
from cafeteria.local_stack.stack import Stack

EXPIRED_FOR_S = 12 * 3600
"""How long a token counts after its end: identity may be switched off for as long as a demonstration lasts."""

CONNECTIONS = 64
"""For the edge, and for people's own requests on this machine."""

Students = Annotated[int, msgspec.Meta(ge=1, le=200)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=60)]

logger = logging.getLogger(__name__)


class SetKitchen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mode: KitchenMode


class StartCrowd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many students begin to order within so many seconds; `hot`: all of them order one item."""

    students: Students = 200
    within_s: Seconds = 10
    hot: bool = False


class OnThisMachine(Guard):
    """Lets an operator pass whose browser shows a page of this very address.

    A page of another site that had its own name resolved to this machine is refused by that name. A browser tells a
    page's origin with each change; a request by cookie that tells none is refused too.
    """

    async def __call__(self, request: Request[Any, Any, Any]) -> None:
        await require_local(request)
        headers = request.scope["headers"]
        if read_header(headers, b"origin") is None and read_header(headers, b"authorization") is None:
            raise OriginRefused("With a cookie, a request needs the origin of its page. Nothing was done.")
        await super().__call__(request)


async def require_local(request: Request[Any, Any, Any]) -> None:
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


_OPERATOR = OnThisMachine((Role.OPERATOR,))


@get("/demo", before_request=require_local)
async def read_demo(state: State) -> Demo:
    """The state of the members, the kitchen's mode and the last crowd. It names no secret."""
    return await _controls(state).status()


@post("/demo/members/{name:str}/{action:str}", before_request=_OPERATOR, status_code=200)
async def switch_member(
    request: SignedInRequest, state: State, name: FromPath[str], action: FromPath[str]
) -> Demo:
    """`off` kills a member, which stays away until `on`; `kill` lets it come back; `freeze` and `thaw`."""
    await _controls(state).act(name, action)
    return await _changed(request, f"{name} {action}")


@put("/demo/kitchen", before_request=_OPERATOR)
async def set_kitchen(request: SignedInRequest, state: State, data: JSONBody[SetKitchen]) -> Demo:
    """Restart the kitchen, so that it cooks by itself or waits for people."""
    await _controls(state).set_kitchen_mode(data.mode)
    return await _changed(request, f"the kitchen is {data.mode}")


@post("/demo/crowd", before_request=_OPERATOR, status_code=202)
async def start_crowd(request: SignedInRequest, state: State, data: JSONBody[StartCrowd]) -> Demo:
    """Let a crowd of students order; one at a time."""
    await _controls(state).start_crowd(students=data.students, within_s=data.within_s, hot=data.hot)
    return await _changed(request, f"{data.students} students order")


@delete("/demo/crowd", before_request=_OPERATOR, status_code=200)
async def stop_crowd(request: SignedInRequest, state: State) -> Demo:
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
        request_log=_NoRequestLog(TrustedProxies(()), names_clients=False, registry=context.registry),
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


async def _changed(request: SignedInRequest, change: str) -> Demo:
    """Log who has changed something, and return the new state."""
    logger.info("demo: %s, by %s", change, request.user.subject)
    return await _controls(request.app.state).status()
