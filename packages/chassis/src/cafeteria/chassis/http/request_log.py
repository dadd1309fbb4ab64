"""The canonical line of each request: what was asked, how it ended, and for a refusal also who was refused.

An order that is accepted costs no more than its line. A client's address is worked out for refusals alone, unless the
service wants it in every line, and floods of refusals are thinned out, so that nobody can fill a disk with them.
"""

from typing import Any

from litestar.types import HTTPScope
from prometheus_client import CollectorRegistry

from cafeteria.chassis.http.forwarding import TrustedProxies
from cafeteria.chassis.observability import logs
from cafeteria.chassis.observability.security_log import LineLimit, count_security_event
from cafeteria.chassis.runtime.errors import ServiceError
from cafeteria.chassis.runtime.security_events import BY_STATUS

QUIET_ROUTES = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})
"""Machines call these every few seconds."""

THINNED_OUT = frozenset({*BY_STATUS, 0, 400, 404, 405, 413, 415, 503})
"""Statuses that cost a client nothing, thousands of times a second; 0 for one that left. The metrics count every request."""

REFUSAL = "refusal"
"""The key of a request's scope that holds the ServiceError which answers it."""


class RequestLog:
    """`names_clients`: every line has the client's address, for a service whose requests change accounts.

    The lines of `quiet_routes` are at debug, but for refusals of a person.
    """

    def __init__(
        self,
        proxies: TrustedProxies,
        *,
        names_clients: bool,
        registry: CollectorRegistry,
        quiet_routes: frozenset[str],
    ) -> None:
        self._proxies = proxies
        self._quiet_routes = quiet_routes
        self._names_clients = names_clients
        self._registry = registry
        self._limit = LineLimit()
        self._log = logs.get_logger().bind()

    def write(self, scope: HTTPScope, *, method: str, route: str, status: int, took_s: float) -> None:
        """Write the line of a request; status 0 means that its client left before there was an answer."""
        line: dict[str, Any] = {
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(took_s * 1e3, 2),
        }
        user = scope.get("user")
        if user is not None:
            line["subject"] = user.subject
        if status in THINNED_OUT and not self._explain(line, scope, status):
            return
        if self._names_clients and "client" not in line:
            line["client"] = self._client(scope)
        if route in self._quiet_routes and "security_event" not in line:
            self._log.debug("request_answered", **line)
        else:
            self._log.info("request_answered", **line)

    def _explain(self, line: dict[str, Any], scope: HTTPScope, status: int) -> bool:
        """Add who was refused and why; False for a line to leave out."""
        refusal: ServiceError | None = scope.get(REFUSAL)  # type: ignore[assignment]  # a key of our own
        event = (refusal and refusal.security_event) or BY_STATUS.get(status)
        if event is not None:
            count_security_event(event, self._registry)
        left_out = self._limit.admit(event or status)
        if left_out is None:
            return False
        if left_out:
            line["lines_left_out"] = left_out
        if event is not None:
            line |= {"security_event": event, "client": self._client(scope)}
            if refusal is not None:
                line["reason"] = refusal.detail
        return True

    def _client(self, scope: HTTPScope) -> str | None:
        peer = scope["client"]
        return self._proxies.sender(peer[0] if peer else None, scope["headers"]).address
