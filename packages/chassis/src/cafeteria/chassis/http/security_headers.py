"""Headers by which browsers protect an answer: those of every answer, and defaults that a route may replace.

The server writes the first, as it writes `Date`; the request boundary and the server's own refusals add the second.
"""

Headers = list[tuple[bytes, bytes]]

DEFAULTS: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""For data that belongs to one person; a page or a public answer has others."""

_DEFAULT_NAMES = frozenset(name for name, _ in DEFAULTS)

HSTS_MAX_AGE_S = 365 * 24 * 3600

_EVERY_ANSWER = (("x-content-type-options", "nosniff"), ("cross-origin-resource-policy", "same-origin"))
_HTTPS_ALONE = (("strict-transport-security", f"max-age={HSTS_MAX_AGE_S}"),)


def of_every_answer(*, is_https_alone: bool) -> list[tuple[str, str]]:
    """`is_https_alone`: browsers reach this service over https and in no other way."""
    return [*_EVERY_ANSWER, *(_HTTPS_ALONE if is_https_alone else ())]


def with_defaults(headers: Headers) -> Headers:
    """The headers, and the defaults that they lack."""
    for name, _ in headers:
        if name in _DEFAULT_NAMES:
            break
    else:  # nearly every answer: a set of the names would cost four times as much
        return [*headers, *DEFAULTS]
    names = {name for name, _ in headers}
    return [*headers, *(header for header in DEFAULTS if header[0] not in names)]
