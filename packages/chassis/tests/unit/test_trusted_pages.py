"""A page is trusted by its whole origin: scheme, host and port, in whatever spelling a client sends it."""

from typing import Any

import pytest
from litestar import Request

from cafeteria.chassis.http.forwarding import TrustedProxies
from cafeteria.chassis.http.trusted_pages import TrustedPages
from cafeteria.chassis.runtime.addresses import read_origin
from cafeteria.chassis.runtime.errors import Forbidden
from cafeteria.chassis.runtime.settings import Network, ServiceSettings, SettingsError, load_settings

SPELLINGS = {
    "https://canteen.example": "https://canteen.example",
    "HTTPS://Canteen.EXAMPLE": "https://canteen.example",
    "https://canteen.example:443": "https://canteen.example",
    "http://canteen.example:80": "http://canteen.example",
    "http://canteen.example:443": "http://canteen.example:443",
    "http://127.0.0.1:8000": "http://127.0.0.1:8000",
    "http://[::1]:8000": "http://[::1]:8000",
    "http://[0:0::0:1]": "http://[::1]",
    "https://canteen.example.": "https://canteen.example.",
}
NO_ORIGINS = [
    "",
    "null",
    "*",
    "canteen.example",
    "ftp://canteen.example",
    "file://",
    "https://",
    "https://canteen.example/",
    "https://canteen.example?x",
    "https://user@canteen.example",
    "https://canteen.example:0",
    "https://canteen.example:99999",
    "https://canteen.example:",
    "https://a.example https://b.example",
    "https://kantine-ü.example",
    "https://\u212aantine.example",  # the Kelvin sign: lower case makes a k of it
    "https://[::1",
    "https:canteen.example",
    "javascript:alert(1)",
]


@pytest.mark.parametrize(("text", "origin"), SPELLINGS.items())
def test_an_origin_has_one_spelling(text: str, origin: str) -> None:
    assert read_origin(text) == origin


@pytest.mark.parametrize("text", NO_ORIGINS)
def test_any_other_text_is_no_origin(text: str) -> None:
    assert read_origin(text) is None


@pytest.mark.parametrize("variable", ["CAFETERIA_ALLOWED_ORIGINS", "CAFETERIA_PUBLIC_ORIGINS"])
@pytest.mark.parametrize("text", [text for text in NO_ORIGINS if text])
def test_settings_take_only_origins(environ: dict[str, str], variable: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} must be origins like"):
        load_settings(ServiceSettings, {**environ, variable: f"https://canteen.example,{text}"})


@pytest.mark.parametrize(
    ("origins", "is_https_alone"),
    [
        ("", False),
        ("https://a.example, HTTPS://b.example", True),
        ("https://a.example,http://localhost", False),
    ],
)
def test_https_is_known_when_every_public_origin_has_it(
    environ: dict[str, str], origins: str, *, is_https_alone: bool
) -> None:
    settings = load_settings(ServiceSettings, {**environ, "CAFETERIA_PUBLIC_ORIGINS": origins})
    assert settings.is_https_alone() is is_https_alone


def request(**headers: str) -> Request[Any, Any, Any]:
    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "scheme": "http",
        "client": ("10.0.0.1", 50_000),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    return Request(scope)


def is_trusted(pages: TrustedPages, **headers: str) -> bool:
    try:
        pages.check(request(**headers))
    except Forbidden:
        return False
    return True


def pages(*public: str, is_https_alone: bool = False) -> TrustedPages:
    return TrustedPages(
        public=public,
        allowed=("https://allowed.example",),
        proxies=TrustedProxies([Network("10.0.0.0/8")]),
        is_https_alone=is_https_alone,
    )


@pytest.mark.parametrize(
    ("origin", "host", "proto"),
    [
        ("http://canteen.example:8000", "canteen.example:8000", "http"),
        ("http://canteen.example", "canteen.example:80", "http"),
        ("http://canteen.example:80", "Canteen.Example", "http"),
        ("https://canteen.example", "canteen.example", "https"),
        ("https://canteen.example", "canteen.example:443", "https"),
        ("http://[::1]:8000", "[::1]:8000", "http"),
        ("https://allowed.example", "canteen.example", "http"),
        ("https://allowed.example:443", "canteen.example", "http"),
    ],
)
def test_the_requests_own_scheme_host_and_port_are_its_origin(origin: str, host: str, proto: str) -> None:
    assert is_trusted(pages(), origin=origin, host=host, x_forwarded_proto=proto)


@pytest.mark.parametrize(
    ("origin", "host", "proto"),
    [
        ("https://canteen.example", "canteen.example", "http"),
        ("http://canteen.example", "canteen.example", "https"),
        ("ftp://canteen.example", "canteen.example", "http"),
        ("http://canteen.example:8001", "canteen.example:8000", "http"),
        ("http://canteen.example", "canteen.example:443", "http"),
        ("http://canteen.example.", "canteen.example", "http"),
        ("http://canteen.example", "canteen.example.", "http"),
        ("http://canteen.example.evil.example", "canteen.example", "http"),
        ("http://evil.example", "canteen.example", "http"),
        ("null", "canteen.example", "http"),
        ("null", "null", "http"),
        ("", "canteen.example", "http"),
        ("http://allowed.example", "canteen.example", "http"),
        ("http://canteen.example, http://canteen.example", "canteen.example", "http"),
    ],
)
def test_any_other_origin_is_foreign(origin: str, host: str, proto: str) -> None:
    assert not is_trusted(pages(), origin=origin, host=host, x_forwarded_proto=proto)


def test_a_client_without_a_page_is_trusted() -> None:
    assert is_trusted(pages(), host="canteen.example")
    assert is_trusted(pages("https://canteen.example"))


def test_with_public_origins_the_requests_host_does_not_count() -> None:
    own = pages("https://canteen.example", "http://localhost:8000")
    assert is_trusted(own, origin="https://canteen.example", host="gateway:8000")
    assert is_trusted(own, origin="http://localhost:8000", host="evil.example")
    assert is_trusted(own, origin="https://allowed.example", host="gateway:8000")
    assert not is_trusted(own, origin="http://evil.example", host="evil.example")
    assert not is_trusted(own, origin="http://canteen.example", host="canteen.example")


def test_a_setting_counts_for_the_scheme_as_a_proxy_does() -> None:
    assert is_trusted(pages(is_https_alone=True), origin="https://canteen.example", host="canteen.example")
    assert not is_trusted(pages(is_https_alone=True), origin="http://canteen.example", host="canteen.example")
