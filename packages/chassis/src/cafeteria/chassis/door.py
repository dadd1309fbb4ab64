"""The outermost layer of every service: what is true of each request, whatever comes of it.

Every request gets an id and a trace, an answer even when something unforeseen was raised outside of Litestar's
reach, one canonical log line, and its place in the metrics. Runs thousands of times a second, so it reads the
headers once and keeps the metrics' children.
"""

import re
from collections.abc import Callable
from http import HTTPMethod
from random import getrandbits
from time import perf_counter

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Send
from prometheus_client import Counter, Gauge, Histogram

from cafeteria.chassis import logs, metrics, trace
from cafeteria.chassis.errors import Forbidden, ServiceError
from cafeteria.chassis.origins import Headers, Origins
from cafeteria.chassis.problem_documents import (
    PROBLEM_JSON,
    InternalError,
    UnsupportedMediaType,
    encode_problem,
    log_unforeseen,
    refusal_of,
)

REQUESTS = metrics.counter("cafeteria_http_requests_total", "Requests answered", "route", "method", "status")
SECONDS = metrics.histogram(
    "cafeteria_http_request_seconds",
    "From the first byte to the last; event streams are not in it",
    "route",
    "method",
)
STREAMS = metrics.gauge("cafeteria_http_open_streams", "Event streams that are open")

QUIET_ROUTES = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})
"""Machines ask these every few seconds: their lines are written at debug."""

UNMATCHED = "unmatched"
"""The route label of what met no route: paths that clients make up must not become metrics."""

STATUS_CLIENT_GONE = 499
"""In the metrics alone: nothing was answered, for the client had left. The log says 0."""

_READ = frozenset(
    {
        b"access-control-request-method",
        b"content-length",
        b"content-type",
        b"origin",
        b"traceparent",
        b"x-request-id",
    }
)
Admit = Callable[[HTTPScope], None]
"""Raises for whom the door stays shut, by the request's first line and headers alone."""

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,64}")
_WITH_BODY = frozenset({HTTPMethod.POST, HTTPMethod.PUT, HTTPMethod.PATCH})


def admit_everyone(_: HTTPScope) -> None:
    """Where nobody is turned away at the door."""


class Door:
    """Wraps `app`, and counts in `registry`. Whom `admit` refuses costs a small part of what a request costs inside."""

    def __init__(
        self, app: ASGIApp, *, registry: metrics.Registry, origins: Origins, admit: Admit = admit_everyone
    ) -> None:
        self._app = app
        self._registry = registry
        self._origins = origins
        self._admit = admit
        self._log = logs.get_logger().bind()
        self._streams = STREAMS.metric(registry)
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        visit = _Visit(scope, send, self._origins, self._streams)
        logs.rebind(request_id=visit.request_id)
        trace.enter(visit.traceparent)
        metrics.make_current(self._registry)
        try:
            await self._answer(visit, receive)
        finally:
            self._close(visit)

    async def _answer(self, visit: "_Visit", receive: Receive) -> None:
        try:
            if visit.is_preflight():
                await visit.answer_preflight()
            else:
                self._admit(visit.scope)
                visit.check_media_type()
                await self._app(visit.scope, receive, visit.send)
        except Exception as error:
            refusal = refusal_of(error)
            if isinstance(refusal, InternalError):
                log_unforeseen(error.__cause__ or error)
            if visit.status:
                # half an answer is out: raising is how the server learns that it must break the connection
                raise logs.AlreadyLogged from error
            await visit.send_refusal(refusal)

    def _close(self, visit: "_Visit") -> None:
        took_s = perf_counter() - visit.started
        scope = visit.scope
        route, method, status = scope.get("path_template") or UNMATCHED, scope["method"], visit.status
        key = (route, method, status)
        counter, histogram = self._children.get(key) or self._make_children(key)
        counter.inc()
        if visit.is_stream:
            self._streams.dec()
        else:
            histogram.observe(took_s)
        self._write_line(scope, route, status, took_s)

    def _write_line(self, scope: HTTPScope, route: str, status: int, took_s: float) -> None:
        line = {
            "method": scope["method"],
            "route": route,
            "status": status,
            "duration_ms": round(took_s * 1e3, 2),
        }
        person = scope.get("user")
        if person is not None:
            line["student_id"] = person.student_id
        if route in QUIET_ROUTES:
            self._log.debug("request_answered", **line)
        else:
            self._log.info("request_answered", **line)

    def _make_children(self, key: tuple[str, str, int]) -> tuple[Counter, Histogram]:
        route, method, status = key
        made = (
            REQUESTS.metric(self._registry).labels(route, method, str(status or STATUS_CLIENT_GONE)),
            SECONDS.metric(self._registry).labels(route, method),
        )
        self._children[key] = made
        return made


class _Visit:
    """One request on its way through the door. `status` is 0 until an answer has begun."""

    __slots__ = (
        "_answer_headers",
        "_headers",
        "_origins",
        "_send",
        "_streams",
        "is_stream",
        "request_id",
        "scope",
        "started",
        "status",
        "traceparent",
    )

    def __init__(self, scope: HTTPScope, send: Send, origins: Origins, streams: Gauge) -> None:
        self.started = perf_counter()
        self.scope, self._send, self._origins, self._streams = scope, send, origins, streams
        headers = self._headers = {name: value for name, value in scope["headers"] if name in _READ}
        asked_id = headers.get(b"x-request-id")
        sane = asked_id is not None and _SANE_ID.fullmatch(asked_id)
        request_id = asked_id if asked_id and sane else b"%024x" % getrandbits(96)
        self.request_id = request_id.decode()
        traceparent = headers.get(b"traceparent")
        self.traceparent = traceparent.decode("latin-1") if traceparent else None
        self._answer_headers: Headers = [
            (b"x-request-id", request_id),
            *origins.answer_headers(headers.get(b"origin")),
        ]
        self.status = 0
        self.is_stream = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message["headers"] = [*message["headers"], *self._answer_headers]
            for name, value in headers:
                if name == b"content-type" and value.startswith(b"text/event-stream"):
                    self.is_stream = True
                    self._streams.inc()
        await self._send(message)

    def is_preflight(self) -> bool:
        return self.scope["method"] == "OPTIONS" and b"access-control-request-method" in self._headers

    async def answer_preflight(self) -> None:
        headers = self._origins.preflight_headers(self._headers.get(b"origin", b""))
        if headers is None:
            raise Forbidden(
                "Pages of this origin may not use this service: CAFETERIA_ALLOWED_ORIGINS lacks it."
            )
        await self._respond(204, headers, b"")

    def check_media_type(self) -> None:
        """Bodies are JSON. What says nothing of its type is taken for JSON, and what has no body needs no type."""
        declared = self._headers.get(b"content-type")
        if declared is None or self.scope["method"] not in _WITH_BODY or _is_json(declared):
            return
        if self._headers.get(b"content-length") != b"0":
            raise UnsupportedMediaType("Bodies are JSON here: send it with Content-Type: application/json.")

    async def send_refusal(self, refusal: ServiceError) -> None:
        body = encode_problem(refusal, instance=self.scope["path"], request_id=self.request_id)
        headers = [
            (name.lower().encode(), value.encode("latin-1")) for name, value in refusal.headers.items()
        ]
        headers += [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", b"%d" % len(body))]
        await self._respond(refusal.status, headers, body)

    async def _respond(self, status: int, headers: Headers, body: bytes) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})


def _is_json(declared: bytes) -> bool:
    media_type = declared.partition(b";")[0].strip().lower()
    return media_type == b"application/json" or media_type.endswith(b"+json")
