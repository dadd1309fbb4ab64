"""Build a service's Litestar app: everything that is the same for all five.

It has health, metrics, a description of the API, problem documents for every error, request ids, traces, one canonical
log line per request, CORS and tokens. Building opens nothing: a service opens what it needs in its lifespan.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import msgspec
from litestar import Litestar, MediaType, Response, get
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, License, SecurityScheme
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler, Receive, Scope, Send
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from cafeteria.chassis.auth.jwks import RETRY_S, KeySource
from cafeteria.chassis.auth.tokens import ACCESS_COOKIE, Guard, TokenVerifier
from cafeteria.chassis.http.cors import Origins
from cafeteria.chassis.http.forwarding import TrustedProxies
from cafeteria.chassis.http.front_route import front_routes
from cafeteria.chassis.http.health import Check, health_routes
from cafeteria.chassis.http.openapi_routes import UnservedRoutes, schema_route
from cafeteria.chassis.http.problem_details import allow_header, answer_error
from cafeteria.chassis.http.request_body import JsonRequest, prepare_body
from cafeteria.chassis.http.request_boundary import SHEDS_LOAD, RequestBoundary, RouteTable, ShedLoad
from cafeteria.chassis.http.request_log import QUIET_ROUTES, RequestLog
from cafeteria.chassis.http.request_target import check_query, prepare_query
from cafeteria.chassis.http.trusted_pages import TrustedPages
from cafeteria.chassis.jobs import JobRunner
from cafeteria.chassis.observability import metrics
from cafeteria.chassis.ops import OwnFigures, Pulse, ops_path, ops_route
from cafeteria.chassis.runtime.settings import ServiceSettings

MAX_BODY_BYTES = 65_536
"""The largest body that any service accepts is an order of 20 lines, about 2 KiB."""

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]

_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"cookie": []}]


class AppContext(msgspec.Struct, frozen=True, kw_only=True):
    """What an app shares with its service. The app's state holds `closing`, and the service as `service`.

    `proxies` find the clients of requests; without them CAFETERIA_TRUSTED_PROXIES does. With `logs_clients` the line of
    every request names its client. `figures` are the service's own in its pulse.
    """

    registry: CollectorRegistry = msgspec.field(default_factory=metrics.app_registry)
    closing: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    service: Any = None
    proxies: TrustedProxies | None = None
    logs_clients: bool = False
    figures: OwnFigures = msgspec.field(default_factory=OwnFigures)


class ServiceApp(Litestar):
    """A Litestar app inside the chassis's request boundary.

    `closing` is set as soon as the process has to stop, and event streams then end. `registry` holds its metrics.
    `internal` is served beside it.
    """

    def __init__(
        self,
        *,
        context: AppContext,
        origins: Origins,
        shed_load: ShedLoad,
        request_log: RequestLog,
        internal: "InternalListener | None" = None,
        **options: Any,
    ) -> None:
        super().__init__(
            before_request=check_query,
            request_class=JsonRequest,
            exception_handlers={Exception: answer_error},
            request_max_body_size=MAX_BODY_BYTES,
            logging_config=None,
            debug=False,
            pdb_on_exception=False,
            **options,
        )
        self.internal = internal
        self.closing = context.closing
        self.registry = context.registry
        self._boundary = RequestBoundary(
            super().__call__,
            registry=context.registry,
            origins=origins,
            routes=_route_table(self),
            shed_load=shed_load,
            request_log=request_log,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]  # HTTP alone
        if scope["type"] == ScopeType.HTTP:
            await self._boundary(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class InternalListener(NamedTuple):
    """Where health, metrics and the schema are served, if the public app has health alone of these three."""

    app: ServiceApp
    host: str
    port: int


def build_app(
    *,
    service: str,
    settings: ServiceSettings,
    route_handlers: Sequence[ControllerRouterHandler],
    checks: Mapping[str, Check],
    lifespan: Sequence[Lifespan] = (),
    keys: KeySource | None = None,
    shed_load: ShedLoad = lambda: None,
    context: AppContext | None = None,
) -> ServiceApp:
    """Build the app of `service`, inside the request boundary.

    Each of `checks` tests one dependency by name; `keys` adds the check `keys` and the route `/v1/ops/<service>`. The boundary
    calls `shed_load` for the routes whose `opt` is SHEDS_LOAD. The app's state holds `settings`, `closing`, `service`, `pages`
    and `token_verifier`. With an internal port, `internal` serves metrics and schema, and the app itself does not.
    """
    context = context or AppContext()
    checks = {**checks, "keys": keys.check} if keys else checks
    pulse = _pulse(service, settings, context) if keys else None

    def own_routes() -> list[HTTPRouteHandler]:
        return [*health_routes(checks), _metrics_route(context.registry), schema_route(lambda: app)]

    internal = _internal_listener(service, settings, context, own_routes)
    public = _public_routes(settings, checks, pulse, own_routes, has_internal=internal is not None)
    app = ServiceApp(
        context=context,
        origins=Origins(settings.allowed_origins),
        shed_load=shed_load,
        request_log=_request_log(service, settings, context),
        internal=internal,
        route_handlers=[*route_handlers, *public],
        lifespan=list(_lifespans(context, pulse, lifespan, keys)),
        state=_state(context, settings, keys),
        openapi_config=_openapi(service, settings),
    )
    _prepare_handlers(app, has_keys=keys is not None)
    return app


def _state(context: AppContext, settings: ServiceSettings, keys: KeySource | None) -> State:
    return State(
        {
            "closing": context.closing,
            "service": context.service,
            "pages": _trusted_pages(settings),
            "settings": settings,
            "token_verifier": TokenVerifier(keys) if keys else None,
        }
    )


def _public_routes(
    settings: ServiceSettings,
    checks: Mapping[str, Check],
    pulse: Pulse | None,
    own_routes: Callable[[], Sequence[HTTPRouteHandler]],
    *,
    has_internal: bool,
) -> list[HTTPRouteHandler]:
    """What every service has on its public port. Metrics and the schema are not there if an internal one has them."""
    routes = list(health_routes(checks) if has_internal else own_routes())
    routes += front_routes(pages_url=settings.pages_url, has_schema=not has_internal)
    return [*routes, *([ops_route(pulse, checks)] if pulse else [])]


def _lifespans(
    context: AppContext, pulse: Pulse | None, own: Sequence[Lifespan], keys: KeySource | None
) -> Iterator[Lifespan]:
    """The keys start last, because they may be fetched through the bus that the service's `own` opens."""
    yield _in_registry(context.registry)
    if pulse is not None:
        yield pulse.running
    yield from own
    if keys is not None:
        yield _running(keys)


def _pulse(service: str, settings: ServiceSettings, context: AppContext) -> Pulse:
    return Pulse(
        service,
        replica=settings.instance(service),
        registry=context.registry,
        quiet_routes=_quiet_routes(service),
        own=context.figures,
    )


def _request_log(service: str, settings: ServiceSettings, context: AppContext) -> RequestLog:
    return RequestLog(
        context.proxies or TrustedProxies(settings.connection_proxies),
        names_clients=context.logs_clients,
        registry=context.registry,
        quiet_routes=_quiet_routes(service),
    )


def _quiet_routes(service: str) -> frozenset[str]:
    return QUIET_ROUTES | {ops_path(service)}


def _trusted_pages(settings: ServiceSettings) -> TrustedPages:
    return TrustedPages(
        public=settings.public_origins,
        allowed=settings.allowed_origins,
        proxies=TrustedProxies(settings.scheme_proxies()),
        is_https_alone=settings.is_https_alone(),
    )


def _internal_listener(
    service: str,
    settings: ServiceSettings,
    context: AppContext,
    own_routes: Callable[[], Sequence[HTTPRouteHandler]],
) -> InternalListener | None:
    """Build the app for operators if the settings ask for it. Raises SettingsError."""
    port = settings.internal_listen_port(service)
    if port is None:
        return None
    app = ServiceApp(
        context=context,
        origins=Origins(()),
        shed_load=lambda: None,
        request_log=_request_log(service, settings, context),
        route_handlers=own_routes(),
        state=_state(context, settings, keys=None),
        openapi_config=None,
    )
    _prepare_handlers(app, has_keys=False)
    return InternalListener(app, settings.internal_host, port)


def _in_registry(registry: CollectorRegistry) -> Lifespan:
    @asynccontextmanager
    async def current(_: Litestar) -> AsyncIterator[None]:
        metrics.make_current(registry)
        yield

    return current


def _running(keys: KeySource) -> Lifespan:
    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        async with JobRunner("keys", RETRY_S, keys.refresh_when_due):
            yield

    return running


def _metrics_route(registry: CollectorRegistry) -> HTTPRouteHandler:
    @get("/metrics", sync_to_thread=False, media_type=MediaType.TEXT, tags=["operations"])
    def read_metrics() -> Response[bytes]:
        """Prometheus' text format."""
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return read_metrics


def _openapi(service: str, settings: ServiceSettings) -> OpenAPIConfig:
    cookie = ACCESS_COOKIE.name(is_secure=settings.is_https_alone())
    schemes: Any = {
        "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT"),
        "cookie": SecurityScheme(type="apiKey", name=cookie, security_scheme_in="cookie"),
    }
    return OpenAPIConfig(
        title=f"cafeteria {service}",
        version=_version(service),
        license=License(name="MIT", identifier="MIT"),
        openapi_router=UnservedRoutes(),
        components=Components(security_schemes=schemes),
        use_handler_docstrings=True,
    )


def _version(service: str) -> str:
    try:
        return version(f"cafeteria-{service}")
    except PackageNotFoundError:
        return "0"


def _http_routes(app: Litestar) -> list[HTTPRoute]:
    return [route for route in app.routes if isinstance(route, HTTPRoute)]


def _prepare_handlers(app: Litestar, *, has_keys: bool) -> None:
    """Decide once for each route what would otherwise be decided for each request."""
    for route in _http_routes(app):
        for handler in route.route_handlers:
            prepare_body(handler)
            prepare_query(handler)
            _mark_guarded(handler, has_keys=has_keys)


def _route_table(app: Litestar) -> RouteTable:
    routes = _http_routes(app)
    return RouteTable(
        shedding=frozenset(pair for route in routes for pair in _shedding(route)),
        allowed={route.path_format: allow_header(route.methods) for route in routes},
        all_methods=allow_header({method for route in routes for method in route.methods}),
    )


def _shedding(route: HTTPRoute) -> Iterator[tuple[str, str]]:
    for handler in route.route_handlers:
        if SHEDS_LOAD.items() <= handler.opt.items():
            if route.path_parameters:
                raise RuntimeError(f"{handler}: a path with parameters cannot shed load.")
            yield from ((method, route.path) for method in handler.http_methods)


def _mark_guarded(handler: HTTPRouteHandler, *, has_keys: bool) -> None:
    """Show in the schema which routes `requires` guards; an app that could never verify a token must not start."""
    if any(isinstance(guard, Guard) for guard in handler.resolve_guards()):
        raise RuntimeError(f"{handler}: `requires` is its before_request, not one of its guards.")
    if isinstance(handler.resolve_before_request(), Guard):
        if not has_keys:
            raise RuntimeError(f"{handler} is guarded, and the app was given no keys to verify tokens with.")
        handler.security = _SECURITY
