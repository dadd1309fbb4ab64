"""Which web pages may change something by cookie: this system's own, and those of allowed origins.

A browser adds cookies to the requests of any page on the web, and tells the page's origin: scheme, host and port. A client
that is no browser has no page and sends no origin.
"""

from collections.abc import Iterable
from typing import Any

from litestar.connection import ASGIConnection

from cafeteria.chassis.http.forwarding import TrustedProxies
from cafeteria.chassis.runtime.addresses import read_origin
from cafeteria.chassis.runtime.errors import OriginRefused

AnyConnection = ASGIConnection[Any, Any, Any, Any]


class TrustedPages:
    """The origins of trusted pages. Without `public` ones, this system's own origin is the request's scheme and Host.

    `proxies` are believed about the scheme; `is_https_alone`: browsers use nothing else here.
    """

    def __init__(
        self, *, public: Iterable[str], allowed: Iterable[str], proxies: TrustedProxies, is_https_alone: bool
    ) -> None:
        own = {read_origin(origin) for origin in public}
        self._has_own = bool(own)
        self._origins = own | {read_origin(origin) for origin in allowed}
        self._proxies = proxies
        self.is_https_alone = is_https_alone

    def check(self, connection: AnyConnection) -> None:
        """Raise OriginRefused if a page sent this request that is not trusted."""
        if not self.trusts(connection):
            raise OriginRefused(
                "With a cookie, only this system's own pages and those of allowed origins may do this. Nothing was done. "
                "Other clients send the token in the Authorization header. An operator lists the own origins in "
                "CAFETERIA_PUBLIC_ORIGINS."
            )

    def trusts(self, connection: AnyConnection) -> bool:
        """Whether a trusted page sent this request, or none."""
        sent = _header(connection, b"origin")
        if sent is None:
            return True
        origin = read_origin(sent)
        return origin is not None and (origin in self._origins or self._is_of_host(origin, connection))

    def is_https(self, connection: AnyConnection) -> bool:
        """Whether the client used https, according to the settings, the connection or a trusted proxy."""
        if self.is_https_alone or connection.scope["scheme"] == "https":
            return True
        peer = connection.client.host if connection.client else None
        return self._proxies.sender(peer, connection.scope["headers"]).is_https

    def _is_of_host(self, origin: str, connection: AnyConnection) -> bool:
        host = _header(connection, b"host")
        if self._has_own or host is None:
            return False
        scheme = "https" if self.is_https(connection) else "http"
        return origin == read_origin(f"{scheme}://{host}")


def _header(connection: AnyConnection, name: bytes) -> str | None:
    value = dict(connection.scope["headers"]).get(name)
    return None if value is None else value.decode("latin-1")
