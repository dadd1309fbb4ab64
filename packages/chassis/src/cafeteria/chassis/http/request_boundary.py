"""The request boundary: the ASGI middleware around every service, which handles each request first and last.

Every request gets an id and a trace, an answer even when code outside of Litestar's reach raises an unforeseen
error, one canonical log line, and an entry in the metrics. The boundary runs thousands of times a second, so it
reads the headers once and keeps the metrics' children.
"""

import re
from collections.abc import Callable, Mapping
from http import HTTPMethod
from random import getrandbits
from time import perf_counter
from typing import NamedTuple

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Send
from litestar.utils import normalize_path
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cafeteria.chassis.http.cors import Origins
from cafeteria.chassis.http.problem_details import (
    PROBLEM_JSON,
    BodyIncomplete,
    InternalError,
    UnsupportedMediaType,
    encode_problem,
    log_unforeseen,
    refusal_of,
)
from cafeteria.chassis.http.request_headers import is_json, refuse_repeated, without_repeated
from cafeteria.chassis.http.request_log import REFUSAL, RequestLog
from cafeteria.chassis.http.request_target import check_path
from cafeteria.chassis.http.security_headers import Headers, with_defaults
from cafeteria.chassis.observability import logs, metrics, tracing
from cafeteria.chassis.runtime.errors import OriginRefused, ServiceError

REQUESTS = metrics.counter("cafeteria_http_requests_total", "Requests answered", "route", "method", "status")
SECONDS = metrics.histogram(
    "cafeteria_http_request_seconds",
    "From the first byte to the last; without event streams and requests that did not arrive whole",
    "route",
    "method",
)
STREAMS = metrics.gauge("cafeteria_http_open_streams", "Event streams that are open")

UNMATCHED = "unmatched"
"""The route label of a request that matches no route: paths that clients invent must not become metrics."""

STATUS_CLIENT_GONE = 499
"""In the metrics alone: the client left before there was an answer. The log has a status of 0."""

INCOMPLETE = frozenset({0, 408})
"""Statuses of requests that did not arrive whole. Their time was the client's: slow senders must not make a service look slow."""

SHEDS_LOAD = {"sheds_load": True}
"""A route handler's `opt`: under overload the boundary refuses its requests before it does anything else."""

ShedLoad = Callable[[], None]
"""Raises Overloaded while the service can accept no more requests of the routes with SHEDS_LOAD."""

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,64}")
_JSON = b"application/json"
_WHOLE_SERVER = frozenset({"*", "/*"})
_WITH_BODY = frozenset({HTTPMethod.POST, HTTPMethod.PUT, HTTPMethod.PATCH})


class RouteTable(NamedTuple):
    """Facts about all routes that the boundary needs before Litestar finds the route of a request."""

    shedding: frozenset[tuple[str, str]]
    """Method and path of the routes that shed load."""

    allowed: Mapping[str, str]
    """The `Allow` header by path template."""

    all_methods: str
    """The `Allow` header of the whole server."""


class _HeadAnswered(BaseException):
    """Ends the answer to a HEAD request after its headers. No `except Exception` on the way can catch it."""


class RequestBoundary:
    """Wraps `app` and counts in `registry`. Refusing a request by `shed_load` costs a small part of serving it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        registry: CollectorRegistry,
        origins: Origins,
        routes: RouteTable,
        shed_load: ShedLoad,
        request_log: RequestLog,
    ) -> None:
        self._app = app
        self._registry = registry
        self._origins = origins
        self._routes = routes
        self._shed_load = shed_load
        self._request_log = request_log
        self._streams = STREAMS.metric(registry)
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        request = _RequestContext(scope, send, self._origins, self._streams)
        logs.rebind(request_id=request.request_id)
        tracing.enter(request.traceparent)
        metrics.make_current(self._registry)
        try:
            await self._answer(request, receive)
        finally:
            self._close(request)

    async def _answer(self, request: "_RequestContext", receive: Receive) -> None:
        try:
            await self._answer_valid(request, receive)
        except Exception as error:
            refusal = refusal_of(error)
            if isinstance(refusal, BodyIncomplete):
                return
            if isinstance(refusal, InternalError):
                log_unforeseen(error.__cause__ or error)
            if request.status:
                # half an answer is sent: the server breaks the connection when the app raises
                raise logs.AlreadyLogged from error
            await request.send_refusal(refusal)

    async def _answer_valid(self, request: "_RequestContext", receive: Receive) -> None:
        """Run the cheapest checks first; a request that one of them refuses never reaches Litestar."""
        request.check_headers()
        if request.is_preflight():
            await request.answer_preflight()
            return
        if request.scope["path"] in _WHOLE_SERVER and request.method == HTTPMethod.OPTIONS:
            await request.answer_options(self._routes.all_methods)
            return
        self._check_route(request.scope)
        request.check_media_type()
        if request.method == HTTPMethod.HEAD:
            try:
                await self._app(request.scope, receive, request.send_head)
            except* _HeadAnswered:
                pass
        elif request.method == HTTPMethod.OPTIONS:
            await self._answer_options(request, receive)
        else:
            await self._app(request.scope, receive, request.send)

    def _check_route(self, scope: HTTPScope) -> None:
        """Find the route as Litestar does, which ignores doubled and trailing slashes."""
        path = scope["path"]
        if "//" in path or path.endswith("/"):
            path = scope["path"] = normalize_path(path)
        if (scope["method"], path) in self._routes.shedding:
            scope["path_template"] = path  # for the metrics and the log, if shed_load raises
            self._shed_load()
        check_path(scope.get("raw_path") or b"")

    async def _answer_options(self, request: "_RequestContext", receive: Receive) -> None:
        """Litestar finds the path, but its `Allow` names the methods of the path's first handler alone."""

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                allowed = self._routes.allowed.get(request.scope.get("path_template", ""), "")
                kept = [pair for pair in message["headers"] if pair[0] != b"allow"]
                message["headers"] = [*kept, (b"allow", allowed.encode())]
            await request.send(message)

        await self._app(request.scope, receive, send)

    def _close(self, request: "_RequestContext") -> None:
        took_s = perf_counter() - request.started
        route, method, status = (
            request.scope.get("path_template") or UNMATCHED,
            request.method,
            request.status,
        )
        key = (route, method, status)
        counter, histogram = self._children.get(key) or self._make_children(key)
        counter.inc()
        if request.is_stream:
            self._streams.dec()
        elif status not in INCOMPLETE:
            histogram.observe(took_s)
        self._request_log.write(request.scope, method=method, route=route, status=status, took_s=took_s)

    def _make_children(self, key: tuple[str, str, int]) -> tuple[Counter, Histogram]:
        route, method, status = key
        made = (
            REQUESTS.metric(self._registry).labels(route, method, str(status or STATUS_CLIENT_GONE)),
            SECONDS.metric(self._registry).labels(route, method),
        )
        self._children[key] = made
        return made


class _RequestContext:
    """The state of one request inside the boundary. `status` is 0 until an answer has begun."""

    __slots__ = (
        "_answer_headers",
        "_has_repeated",
        "_headers",
        "_origins",
        "_send",
        "_streams",
        "is_stream",
        "method",
        "request_id",
        "scope",
        "started",
        "status",
        "traceparent",
    )

    def __init__(self, scope: HTTPScope, send: Send, origins: Origins, streams: Gauge) -> None:
        self.started = perf_counter()
        self.method: str = scope["method"]
        if self.method == HTTPMethod.HEAD:
            # a copy: the server drops the body by its own scope
            scope = {**scope, "method": "GET"}
        self.scope, self._send, self._origins, self._streams = scope, send, origins, streams
        lines = list(scope["headers"])
        headers = dict(lines)
        self._has_repeated = len(headers) != len(lines)
        if self._has_repeated:
            headers = without_repeated(lines, (b"traceparent", b"x-request-id"))
        self._headers = headers
        sent_id = headers.get(b"x-request-id")
        is_sane = sent_id is not None and _SANE_ID.fullmatch(sent_id)
        request_id = sent_id if sent_id and is_sane else b"%024x" % getrandbits(96)
        self.request_id = request_id.decode()
        traceparent = headers.get(b"traceparent")
        self.traceparent = traceparent.decode("latin-1") if traceparent else None
        self._answer_headers: Headers = [
            (b"x-request-id", request_id),
            *origins.answer_headers(headers.get(b"origin")),
        ]
        self.status = 0
        self.is_stream = False

    def check_headers(self) -> None:
        """Raises HeaderUnusable."""
        if self._has_repeated:
            refuse_repeated(self.scope["headers"])

    async def send_head(self, message: Message) -> None:
        """Send the headers with an empty body, and end what would go on, such as an event stream."""
        if message["type"] != "http.response.start":
            raise _HeadAnswered
        await self.send(message)
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message["headers"] = with_defaults([*message["headers"], *self._answer_headers])
            for name, value in headers:
                if name == b"content-type" and value.startswith(b"text/event-stream") and self.has_body():
                    self.is_stream = True
                    self._streams.inc()
        await self._send(message)

    def has_body(self) -> bool:
        return self.method != HTTPMethod.HEAD

    def is_preflight(self) -> bool:
        return self.method == HTTPMethod.OPTIONS and b"access-control-request-method" in self._headers

    async def answer_preflight(self) -> None:
        headers = self._origins.preflight_headers(self._headers.get(b"origin", b""))
        if headers is None:
            raise OriginRefused(
                "Pages of this origin may not use this service: CAFETERIA_ALLOWED_ORIGINS lacks it."
            )
        await self._respond(204, headers, b"")

    async def answer_options(self, methods: str) -> None:
        await self._respond(204, [(b"allow", methods.encode())], b"")

    def check_media_type(self) -> None:
        """Raise UnsupportedMediaType for a body that is not JSON. A missing type means JSON; no body needs no type."""
        if self.method not in _WITH_BODY:
            return
        content_type = self._headers.get(b"content-type", _JSON)
        coding = self._headers.get(b"content-encoding")
        if coding is None and (content_type == _JSON or is_json(content_type)):
            return
        if self._headers.get(b"content-length") != b"0":
            raise UnsupportedMediaType(
                "Bodies are JSON in UTF-8 here, not compressed: send it with Content-Type: application/json."
            )

    async def send_refusal(self, refusal: ServiceError) -> None:
        self.scope[REFUSAL] = refusal  # type: ignore[literal-required]  # a key of our own
        body = encode_problem(refusal, instance=self.scope["path"], request_id=self.request_id)
        headers = [
            (name.lower().encode(), value.encode("latin-1")) for name, value in refusal.headers.items()
        ]
        headers += [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", b"%d" % len(body))]
        await self._respond(refusal.status, headers, body)

    async def _respond(self, status: int, headers: Headers, body: bytes) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})
