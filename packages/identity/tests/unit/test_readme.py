"""The README gives each setting's default and each cookie as the code has them."""

import re
from pathlib import Path

from msgspec.structs import fields

from cafeteria.identity.http_api import COOKIE_PATHS
from cafeteria.identity.settings import IdentitySettings

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_defaults_of_settings() -> None:
    defaults = {each.encode_name: str(each.default) for each in fields(IdentitySettings)}
    settings = README.partition("\n## Settings\n")[2]
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \|", settings, flags=re.MULTILINE)
    assert documented
    for name, default in documented:
        assert default == {"()": "none", "False": "false"}.get(defaults[name], defaults[name])


def test_the_cookies() -> None:
    assert all(f"`{name}`" in README for name in COOKIE_PATHS)
