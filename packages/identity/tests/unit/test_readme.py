"""The README says what the code does: each variable, route, subject and table, and no others."""

import re
from pathlib import Path

from msgspec.structs import fields

from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.subjects import IDENTITY, RPCS, TOPICS
from cafeteria.identity.http_api import COOKIE_PATHS, ROUTES
from cafeteria.identity.settings import IdentitySettings
from cafeteria.identity.tables import Base

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> set[str]:
    return set(re.findall(r"^\| `([^`]+)`", text, flags=re.MULTILINE))


def test_it_has_the_headings_of_every_service() -> None:
    assert re.findall(r"^## (.+)$", README, flags=re.MULTILINE) == [
        "What it owns",
        "HTTP",
        "Listens to",
        "Says",
        "Tables",
        "Settings",
        "What happens when it is down",
    ]


def test_settings() -> None:
    everybodys = {each.encode_name for each in fields(ServiceSettings)}
    own = {each.encode_name: each for each in fields(IdentitySettings) if each.encode_name not in everybodys}
    assert first_cells(section("Settings")) == set(own)
    for name, default in re.findall(r"^\| `(\w+)` \| (\w+) \|", section("Settings"), flags=re.MULTILINE):
        assert default == {"()": "none", "False": "false"}.get(str(own[name].default), str(own[name].default))


def test_routes_and_cookies() -> None:
    routes = {
        f"{method.value if hasattr(method, 'value') else method} {path}"
        for route in ROUTES
        for method in route.http_methods
        for path in route.paths
        if method != "OPTIONS"
    }
    assert first_cells(section("HTTP")) == routes
    assert all(f"`{name}`" in README for name in COOKIE_PATHS)


def test_subjects() -> None:
    assert first_cells(section("Listens to")) == {rpc.subject for rpc in RPCS if rpc.owner == IDENTITY}
    assert not any(topic.owner == IDENTITY for topic in TOPICS)


def test_tables() -> None:
    assert first_cells(section("Tables")) == {table.name for table in Base.metadata.sorted_tables}
