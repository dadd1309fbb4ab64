"""The README names each variable, route, subject and table of the code, and no others."""

import re
from pathlib import Path

from msgspec.structs import fields

from cafeteria.chassis.runtime.settings import ServiceSettings
from cafeteria.contracts.subjects import AVAILABILITY, DURABLES, GATEWAY, RPCS, TOPICS
from cafeteria.gateway.http_api import ROUTES
from cafeteria.gateway.settings import GatewaySettings
from cafeteria.gateway.tables import Base

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
    shared = {each.encode_name for each in fields(ServiceSettings)}
    own = {
        each.encode_name: str(each.default)
        for each in fields(GatewaySettings)
        if each.encode_name not in shared
    }
    documented = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", section("Settings"), flags=re.MULTILINE))
    assert documented == own


def test_routes() -> None:
    routes = {f"{method} {path}" for route in ROUTES for method in route.http_methods for path in route.paths}
    assert {cell.replace("{id}", "{order_id:uuid}") for cell in first_cells(section("HTTP"))} == routes


def test_subjects() -> None:
    consumed = {rpc.subject for rpc in RPCS if rpc.owner == GATEWAY} | {AVAILABILITY.subject}
    consumed |= {durable.filter_subject for durable in DURABLES if durable.owner == GATEWAY}
    assert first_cells(section("Listens to")) == consumed
    published = {topic.subject for topic in TOPICS if topic.owner == GATEWAY}
    requested = {rpc.subject for rpc in RPCS if rpc.owner != GATEWAY}
    assert first_cells(section("Says")) == published | requested


def test_tables() -> None:
    assert first_cells(section("Tables")) == {table.name for table in Base.metadata.sorted_tables}
