"""Which web pages may use this service: CORS for allowed origins, and protection of cookies against all others.

A browser adds cookies to the requests of any page on the web. So a request that changes something and is signed
in by cookie must come from a page of this host or of an allowed origin.
"""

from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

EXPOSED_HEADERS = b"Idempotent-Replayed, Location, Retry-After, X-Request-Id"
REQUEST_HEADERS = (
    b"Authorization, Cache-Control, Content-Type, Idempotency-Key, Last-Event-ID, Traceparent, X-Request-Id"
)
METHODS = b"GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS"
PREFLIGHT_MAX_AGE_S = b"600"


class Origins:
    """The allowed origins, like https://canteen.example, exactly as browsers send them."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(origin.encode("ascii") for origin in allowed)
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

    def trusts(self, origin: bytes | None, *, host: bytes | None) -> bool:
        """Whether a page of this origin may change things by cookie; a request without an origin may not."""
        if origin is None:
            return False
        return origin in self._allowed or (host is not None and origin.partition(b"://")[2] == host)
