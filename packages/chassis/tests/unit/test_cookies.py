"""The name of a cookie says who can have set it, and two cookies of one name are never guessed about."""

import pytest

from cafeteria.chassis.http.cookies import SecretCookie
from cafeteria.chassis.http.request_headers import HeaderUnusable

WHOLE_HOST = SecretCookie("token")
ONE_PATH = SecretCookie("token", path="/v1/token")


def read(cookie: SecretCookie, *lines: str, is_https_alone: bool = False) -> bytes | None:
    return cookie.read([(b"cookie", line.encode()) for line in lines], is_https_alone=is_https_alone)


def test_over_https_the_name_has_the_prefix_that_browsers_guard() -> None:
    assert [cookie.name(is_secure=True) for cookie in (WHOLE_HOST, ONE_PATH)] == [
        "__Host-token",
        "__Secure-token",
    ]
    assert [cookie.name(is_secure=False) for cookie in (WHOLE_HOST, ONE_PATH)] == ["token", "token"]


@pytest.mark.parametrize("cookie", [WHOLE_HOST, ONE_PATH])
def test_a_cookie_is_for_one_host_and_no_script(cookie: SecretCookie) -> None:
    line = cookie.set_to("secret", max_age_s=60, is_secure=True).to_header(header="")
    attributes = {part.strip().lower() for part in line.split(";")[1:]}
    assert {"httponly", "secure", "samesite=lax", f"path={cookie.path}", "max-age=60"} == attributes
    assert "secure" not in cookie.set_to("x", max_age_s=60, is_secure=False).to_header(header="").lower()
    assert "max-age=0" in cookie.removed(is_secure=True).to_header(header="").lower()


def test_a_prefixed_cookie_counts_before_a_plain_one_wherever_it_stands() -> None:
    for lines in (["token=planted; __Host-token=own"], ["__Host-token=own", "token=planted; token=again"]):
        assert read(WHOLE_HOST, *lines) == b"own"
    assert read(WHOLE_HOST, "token=own") == b"own"
    assert read(WHOLE_HOST, "__Host-token=; token=own") == b"own"


def test_over_https_alone_only_the_prefixed_name_counts() -> None:
    assert read(WHOLE_HOST, "token=planted", is_https_alone=True) is None
    assert read(WHOLE_HOST, "token=planted; __Host-token=own", is_https_alone=True) == b"own"


@pytest.mark.parametrize(
    "name", ["__HOST-token", "__host-token", "__Host-token ", "__Secure-token", "x__Host-token"]
)
def test_another_spelling_is_another_cookie(name: str) -> None:
    """Browsers guard the prefix in any case, but a server that folded case would take a name that an old one let pass."""
    assert read(WHOLE_HOST, f"{name}=planted", is_https_alone=True) is None


@pytest.mark.parametrize(
    "lines", [["__Host-token=a; __Host-token=b"], ["__Host-token=a", "__Host-token=a"], ["token=a; token=b"]]
)
def test_two_cookies_of_the_name_that_counts_are_refused(lines: list[str]) -> None:
    with pytest.raises(HeaderUnusable) as refusal:
        read(WHOLE_HOST, *lines)
    assert ["occurs more than once" in fault for fault in refusal.value.errors] == [True]
