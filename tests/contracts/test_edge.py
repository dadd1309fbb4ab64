"""The edge leads each public route to its service, and nothing else anywhere.

A service that is new is reachable for programs alone until somebody gives it paths in the Caddyfile.
"""

import re
import subprocess
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import httpx
import msgspec
import pytest

from cafeteria.contracts.problems import Problem
from cafeteria.contracts.subjects import PORT_OFFSETS, SERVICES
from cafeteria.local_stack.binaries import caddy
from cafeteria.local_stack.edge import CADDYFILE
from cafeteria.provisioning.plain_http import plain_http
from cafeteria.testkit.upstreams import BehindEdge, behind_edge, raw
from cafeteria.web.assets import SITE

ANY_ID = "0193a400-0000-7000-8000-00000000000f"
NOT_ROUTED = ("/health", "/metrics", "/schema")
DEMO = "demo"
UPSTREAM = re.compile(r"^\t\timport to \{\$([A-Z_]+):127\.0\.0\.1:(\d+)\}$", re.MULTILINE)
PORTS = {name.lower(): int(port) for name, port in UPSTREAM.findall(CADDYFILE.read_text(encoding="utf-8"))}
"""Where each service is expected that the Caddyfile has paths of."""


@pytest.fixture(scope="module")
async def behind() -> AsyncIterator[BehindEdge]:
    async with behind_edge([*SERVICES, DEMO], site=SITE, demo=DEMO) as running:
        yield running


@pytest.fixture
async def web(behind: BehindEdge) -> AsyncIterator[httpx.AsyncClient]:
    for upstream in behind.upstreams.values():
        upstream.received.clear()
    async with plain_http(base_url=behind.edge.url, timeout_s=10) as client:
        yield client


def reached(behind: BehindEdge) -> list[str]:
    return [name for name, upstream in behind.upstreams.items() for _ in upstream.received]


@pytest.mark.parametrize("service", SERVICES)
async def test_every_public_route_leads_to_its_service(
    service: str, behind: BehindEdge, web: httpx.AsyncClient, built: Any
) -> None:
    routes = [
        (method, re.sub(r"\{\w+\}", ANY_ID, route.path_format))
        for route in built(service).routes
        for method in sorted(getattr(route, "methods", ()))
    ]
    assert routes
    for method, path in routes:
        is_public = service in PORTS and path != "/" and not path.startswith(NOT_ROUTED)
        await web.request(method, path)
        assert reached(behind) == ([service] if is_public else []), (method, path)
        for upstream in behind.upstreams.values():
            upstream.received.clear()


@pytest.mark.parametrize("service", [name for name in SERVICES if name in PORTS])
async def test_what_operators_read_of_a_service_leads_to_it(
    service: str, behind: BehindEdge, web: httpx.AsyncClient
) -> None:
    for path in (f"/v1/ops/{service}", f"/v1/ops/{service}/orders/{ANY_ID}"):
        await web.get(path)
    assert reached(behind) == [service, service]


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/metrics", "/schema", "/schema/openapi.json", "/health/ready", "/health/live", "/jsz"),
        *(
            "//metrics",
            "/./metrics",
            "/v1/../metrics",
            "/v1/orders/../../metrics",
            "/v1/menu/..%2f..%2fmetrics",
        ),
        *("/v1/orders/%2e%2e/%2e%2e/metrics", "/%6detrics", "/v1/..//metrics", "/v1/events/../../schema"),
        *("/v1", "/v1/", "/v1/tokens", "/v1/login/x", "/v1/menus", "/v1/ops", "/v1/ops/nobody", "/v1/items2"),
        *(
            "/edge/live",
            "/edge",
            "/.well-known/other",
            "/.git/config",
            "/deploy/edge/Caddyfile",
            "/index.html.bak",
        ),
    ],
)
async def test_any_other_path_leads_nowhere(target: str, behind: BehindEdge, web: httpx.AsyncClient) -> None:
    await raw(behind.edge, f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    seen = [unquote(each.target) for upstream in behind.upstreams.values() for each in upstream.received]
    assert seen == []


async def test_an_unknown_address_of_a_service_is_a_problem_document(web: httpx.AsyncClient) -> None:
    answer = await web.get('/v1/un"known')
    problem = msgspec.json.decode(answer.content, type=Problem, strict=True)
    assert (answer.status_code, problem.status) == (404, 404)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem.type, problem.title) == ("/problems/not-found", "Not found")
    assert problem.instance == '/v1/un"known'
    assert problem.request_id == answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "ops.localhost"]
)
async def test_the_demonstration_is_there_for_this_machine(
    host: str, behind: BehindEdge, web: httpx.AsyncClient
) -> None:
    for path in ("/demo", "/demo/members/stock/kill"):
        assert (await web.post(path, headers={"Host": host})).status_code == httpx.codes.OK
    assert reached(behind) == [DEMO, DEMO]
    assert behind.upstreams[DEMO].received[0].headers["host"] == host


@pytest.mark.parametrize(
    "host", ["canteen.example", "localhost.canteen.example", "localhostx", "10.0.0.1", "127.0.0.1.example"]
)
async def test_the_demonstration_is_not_there_for_others(
    host: str, behind: BehindEdge, web: httpx.AsyncClient
) -> None:
    answer = await web.get("/demo", headers={"Host": host})
    assert answer.status_code == httpx.codes.NOT_FOUND
    assert reached(behind) == []


@pytest.mark.house
def test_each_service_is_expected_at_its_own_port() -> None:
    nobody = {DEMO: 1}
    assert (
        PORTS.items()
        <= {name: 8000 + offset for name, offset in PORT_OFFSETS.items()}.items() | nobody.items()
    )
    assert len(PORTS) > len(nobody)


@pytest.mark.house
def test_the_configuration_is_formatted_and_valid() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([caddy(), *arguments], capture_output=True, text=True, check=True, timeout=30)

    assert run("fmt", str(CADDYFILE)).stdout == CADDYFILE.read_text()
    adapted = run("adapt", "--config", str(CADDYFILE), "--adapter", "caddyfile", "--validate")
    assert "warn" not in adapted.stderr.lower(), adapted.stderr
