"""Which web pages may read the answers of this service: CORS for allowed origins."""

from collections.abc import Iterable

from cafeteria.chassis.http.security_headers import Headers
from cafeteria.chassis.runtime.addresses import read_origin

EXPOSED_HEADERS = b"Idempotent-Replayed, Location, Retry-After, X-Request-Id"
REQUEST_HEADERS = (
    b"Authorization, Cache-Control, Content-Type, Idempotency-Key, Last-Event-ID, Traceparent, X-Request-Id"
)
METHODS = b"GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS"
PREFLIGHT_MAX_AGE_S = b"600"


class Origins:
    """The allowed origins, like https://canteen.example."""

    def __init__(self, allowed: Iterable[str]) -> None:
        spelled = (read_origin(origin) or origin for origin in allowed)  # as browsers send them
        self._allowed = frozenset(origin.encode("ascii") for origin in spelled)
        self._answers = {
            origin: [
                (b"access-control-allow-origin", origin),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", EXPOSED_HEADERS),
                (b"vary", b"Origin"),
            ]
            for origin in self._allowed
        }
        self._others: Headers = [(b"vary", b"Origin")] if self._allowed else []

    def answer_headers(self, origin: bytes | None) -> Headers:
        """The headers of every answer, by which the browser lets the page read it, or does not."""
        return self._others if origin is None else self._answers.get(origin, self._others)

    def preflight_headers(self, origin: bytes) -> Headers | None:
        """The headers of a preflight's answer; None for an origin that is not allowed."""
        if origin not in self._allowed:
            return None
        return [
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", REQUEST_HEADERS),
            (b"access-control-max-age", PREFLIGHT_MAX_AGE_S),
        ]
