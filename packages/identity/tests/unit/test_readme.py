"""The README names each cookie of the code."""

from pathlib import Path

from cafeteria.identity.http_api import SESSION_COOKIES

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_cookies() -> None:
    for cookie in SESSION_COOKIES:
        assert f"`{cookie.plain_name}`" in README
        assert f"`{cookie.name(is_secure=True)}`" in README
