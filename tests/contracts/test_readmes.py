"""Each service's README says what the code does: its routes, subjects, tables and settings, and no others."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from cafeteria.contracts import subjects
from cafeteria.provisioning.bus_permissions import RPC_CALLERS, TOPIC_READERS

pytestmark = pytest.mark.house

ROOT = Path(__file__).parents[2]
HEADINGS = [
    "What it owns",
    "HTTP",
    "Listens to",
    "Says",
    "Tables",
    "Settings",
    "What happens when it is down",
]
EVERY_SERVICES_PATHS = ("/health", "/metrics", "/schema")

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
        if method not in {"OPTIONS", "HEAD"} and not route.path.startswith(EVERY_SERVICES_PATHS)
    }
    documented = {re.sub(r"\?.*| \{.*", "", name) for name in named(service, "HTTP")}
    assert {re.sub(r"\{\w+\}", "{}", name) for name in documented} == {
        re.sub(r"\{\w+\}", "{}", name) for name in routes
    }


def heard_by(service: str) -> set[str]:
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
def test_what_it_listens_to(service: str) -> None:
    assert named(service, "Listens to") == heard_by(service)


@services
def test_what_it_says(service: str) -> None:
    """Every topic of its own; its requests to others may stand there too."""
    topics = {topic.subject for topic in subjects.TOPICS if topic.owner == service}
    requests = {subject for subject, callers in RPC_CALLERS.items() if service in callers}
    assert topics <= named(service, "Says") <= topics | requests


@services
def test_its_tables(service: str) -> None:
    tables = importlib.import_module(f"cafeteria.{service}.tables").Base.metadata.sorted_tables
    assert named(service, "Tables") == {table.name for table in tables}


@services
def test_its_settings(service: str, own_settings: Any) -> None:
    assert named(service, "Settings") == own_settings(service)
