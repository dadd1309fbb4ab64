"""Each service's README describes what the code does: its routes, subjects, tables and settings, and no others."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields

from cafeteria.chassis.ops import ops_path
from cafeteria.contracts import subjects
from cafeteria.provisioning.bus_permissions import RPC_CALLERS, TOPIC_READERS

pytestmark = pytest.mark.house

ROOT = Path(__file__).parents[2]
HEADINGS = [
    "What it owns",
    "HTTP",
    "Consumes",
    "Publishes",
    "Tables",
    "Settings",
    "What happens when it is down",
]
EVERY_SERVICES_PATHS = ("/health", "/metrics", "/schema")
FRONT_PATH = "/"  # of every service, too

services = pytest.mark.parametrize("service", subjects.SERVICES)


def readme(service: str) -> str:
    return (ROOT / "packages" / service / "README.md").read_text(encoding="utf-8")


def named(service: str, heading: str) -> set[str]:
    """What the tables under a heading name in backticks at the beginning of their rows."""
    section = readme(service).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE))


@services
def test_it_has_the_headings_of_every_service(service: str) -> None:
    assert re.findall(r"^## (.+)$", readme(service), flags=re.MULTILINE) == HEADINGS


@services
def test_its_routes(service: str, built: Any) -> None:
    routes = {
        f"{method} {re.sub(r':[a-z]+}', '}', route.path)}"
        for route in built(service).routes
        for method in getattr(route, "methods", ())
        if method not in {"OPTIONS", "HEAD"}
        and not route.path.startswith(EVERY_SERVICES_PATHS)
        and route.path not in (FRONT_PATH, ops_path(service))
    }
    documented = {re.sub(r"\?.*| \{.*", "", name) for name in named(service, "HTTP")}
    assert {re.sub(r"\{\w+\}", "{}", name) for name in documented} == {
        re.sub(r"\{\w+\}", "{}", name) for name in routes
    }


def consumed_by(service: str) -> set[str]:
    """What it answers, consumes and reads."""
    streams = {stream.name: stream for stream in subjects.STREAMS}
    return {
        *(rpc.subject for rpc in subjects.RPCS if rpc.owner == service),
        *(durable.filter_subject for durable in subjects.DURABLES if durable.owner == service),
        *(subject for subject, readers in TOPIC_READERS.items() if service in readers),
        *(
            subject
            for readers in subjects.READERS
            if readers.owner == service
            for subject in streams[readers.stream].subjects
        ),
    }


@services
def test_what_it_consumes(service: str) -> None:
    assert named(service, "Consumes") == consumed_by(service)


@services
def test_what_it_publishes(service: str) -> None:
    """Every topic of its own; its requests to others may be there, too."""
    topics = {topic.subject for topic in subjects.TOPICS if topic.owner == service}
    requests = {subject for subject, callers in RPC_CALLERS.items() if service in callers}
    assert topics <= named(service, "Publishes") <= topics | requests


@services
def test_its_tables(service: str) -> None:
    tables = importlib.import_module(f"cafeteria.{service}.tables").Base.metadata.sorted_tables
    assert named(service, "Tables") == {table.name for table in tables}


@services
def test_its_settings(service: str, own_settings: Any) -> None:
    assert named(service, "Settings") == own_settings(service)


@services
def test_the_defaults_of_its_settings(service: str, built: Any) -> None:
    """`none` and `false` are written as an operator would set them; other kinds of defaults have no cell."""
    settings = type(built(service).state.settings)
    defaults = {field.encode_name: str(field.default) for field in fields(settings)}
    section = readme(service).partition("\n## Settings\n")[2].partition("\n## ")[0]
    for name, documented in re.findall(r"^\| `(\w+)` \| (\w+) \|", section, flags=re.MULTILINE):
        default = {"()": "none", "False": "false"}.get(defaults[name], defaults[name])
        assert documented in (default, default.removesuffix(".0"))
