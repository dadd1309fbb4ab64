"""Cookies that carry a secret: what they are called, how they are set, and which one counts.

A page of a neighbouring host can set a cookie for the whole domain, and the server cannot tell it from its own. Only the
name helps: browsers accept `__Host-` and `__Secure-` over https alone, and `__Host-` from its own host alone. So over
https the names have these prefixes, and a prefixed cookie counts before a plain one.
"""

from typing import Literal, NamedTuple

from litestar.datastructures import Cookie

from cafeteria.chassis.http.request_headers import RequestHeaders, read_cookie, read_cookies

HOST_PREFIX = "__Host-"
SECURE_PREFIX = "__Secure-"


class SecretCookie(NamedTuple):
    """A cookie that no script reads. With a path of its own it goes along with fewer requests."""

    plain_name: str
    path: str = "/"
    same_site: Literal["lax", "strict"] = "lax"

    def name(self, *, is_secure: bool) -> str:
        if not is_secure:
            return self.plain_name
        # browsers refuse `__Host-` with another path
        return (HOST_PREFIX if self.path == "/" else SECURE_PREFIX) + self.plain_name

    def set_to(self, value: str, *, max_age_s: int, is_secure: bool) -> Cookie:
        """The cookie of an answer. `is_secure`: the browser uses https."""
        return Cookie(
            key=self.name(is_secure=is_secure),
            value=value,
            max_age=max_age_s,
            path=self.path,
            httponly=True,
            samesite=self.same_site,
            secure=is_secure,
        )

    def removed(self, *, is_secure: bool) -> Cookie:
        """The cookie of an answer after which the browser has it no longer."""
        return self.set_to("", max_age_s=0, is_secure=is_secure)

    def read(self, headers: RequestHeaders, *, is_https_alone: bool) -> bytes | None:
        """The value of the prefixed cookie, else of the plain one; None without a value.

        `is_https_alone`: browsers use nothing else here, so no plain cookie is ours. Raises HeaderUnusable if the cookie
        that counts occurs twice.
        """
        value = read_cookie(headers, self.name(is_secure=True).encode())
        if value is None and not is_https_alone:
            return read_cookie(headers, self.plain_name.encode())
        return value

    def read_all(self, headers: RequestHeaders) -> list[bytes]:
        """All values, those with a prefix first: for a cookie whose value itself proves who made it."""
        names = (self.name(is_secure=is_secure).encode() for is_secure in (True, False))
        return [value for name in names for value in read_cookies(headers, name)]
