"""The README names each cookie of the code."""

from pathlib import Path

from cafeteria.identity.http_api import COOKIE_PATHS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_cookies() -> None:
    assert all(f"`{name}`" in README for name in COOKIE_PATHS)
