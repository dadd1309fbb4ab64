"""The documented proxy leads each public route to its service, and nothing else anywhere."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cafeteria.contracts import subjects
from cafeteria.contracts.subjects import PORT_OFFSETS

pytestmark = pytest.mark.house

ROOT = Path(__file__).parents[2]
CADDYFILE = (ROOT / "deploy/edge/Caddyfile").read_text(encoding="utf-8")
MATCHERS = dict(re.findall(r"^\t@(\w+) path (.+)$", CADDYFILE, flags=re.MULTILINE))
"""The paths of each service, in the order in which the proxy compares them."""

FOR_OPERATORS = ("/health", "/metrics", "/schema")
ANY_ID = "0193a400-0000-7000-8000-00000000000f"


def is_matched(pattern: str, path: str) -> bool:
    """As the proxy does: a star at the end is any rest, one inside is a part between slashes."""
    text = re.escape(pattern).replace(r"\*", "[^/]*")
    return re.fullmatch(text[: -len("[^/]*")] + ".*" if pattern.endswith("*") else text, path) is not None


def service_at(path: str) -> str | None:
    matching = (
        name
        for name, patterns in MATCHERS.items()
        if any(is_matched(each, path) for each in patterns.split())
    )
    return next(matching, None)


@pytest.mark.parametrize("service", sorted(MATCHERS))
def test_every_public_route_leads_to_its_service(service: str, built: Callable[[str], Any]) -> None:
    for route in built(service).routes:
        path = re.sub(r"\{\w+\}", ANY_ID, route.path_format)
        assert service_at(path) == (None if path.startswith(FOR_OPERATORS) else service), path


def test_every_matcher_has_a_handler_with_the_services_port() -> None:
    handlers = re.findall(r"handle @(\w+) \{\n\t\treverse_proxy \{\$([A-Z]+):127\.0\.0\.1:(\d+)\}", CADDYFILE)
    expected = [(name, name.upper(), str(8000 + PORT_OFFSETS[name])) for name in MATCHERS]
    assert handlers == expected
    assert set(MATCHERS) <= set(subjects.SERVICES)
    assert CADDYFILE.rstrip().endswith("handle {\n\t\trespond 404\n\t}\n}")


@pytest.mark.parametrize(
    "path",
    ["/", "/metrics", "/schema/openapi.json", "/health/ready", "/v1", "/v1/login/x", "/jsz", "/v1/tokens"],
)
def test_any_other_path_leads_nowhere(path: str) -> None:
    assert service_at(path) is None
