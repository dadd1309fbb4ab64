"""Who may use which route: each route of all services is tried without a token and in each role."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from litestar.routes import HTTPRoute

from cafeteria.contracts import subjects
from cafeteria.contracts.values import Role
from cafeteria.local_stack.api_documents import built
from cafeteria.provisioning.plain_http import plain_http

ANY_ID = "0193a400-0000-7000-8000-00000000000f"
TIMEOUT_S = 20.0
ALL = frozenset(Role)
STAFF = frozenset({Role.KITCHEN, Role.OPERATOR})
KITCHEN = frozenset({Role.KITCHEN})
OPERATOR = frozenset({Role.OPERATOR})

ANYBODY = {
    "GET /",
    "GET /health",
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
    "GET /schema",
    "GET /schema/openapi.json",
    "GET /.well-known/jwks.json",
    "GET /v1/board",
    "GET /v1/items",
    "GET /v1/menu",
    "POST /v1/login",
    "POST /v1/logout",
    "POST /v1/token/refresh",
}
SIGNED_IN = {
    "DELETE /v1/me/sessions/{session_id}": ALL,
    "GET /v1/events": ALL,
    "GET /v1/load": ALL,
    "GET /v1/me": ALL,
    "GET /v1/me/sessions": ALL,
    "GET /v1/notifications": ALL,
    "GET /v1/orders": ALL,
    "GET /v1/orders/{order_id}": ALL,
    "GET /v1/orders/{order_id}/events": ALL,
    "POST /v1/orders": ALL,
    "POST /v1/orders/{order_id}/cancel": ALL,
    "PUT /v1/me/password": ALL,
    "GET /v1/intake": STAFF,
    "POST /v1/items/{item_id}/off": STAFF,
    "POST /v1/items/{item_id}/on": STAFF,
    "GET /v1/tickets": STAFF,
    "GET /v1/tickets/board": STAFF,
    "POST /v1/tickets/{ticket_id}/collect": KITCHEN,
    "POST /v1/tickets/{ticket_id}/ready": KITCHEN,
    "POST /v1/tickets/{ticket_id}/refuse": KITCHEN,
    "POST /v1/tickets/{ticket_id}/start": KITCHEN,
    "PUT /v1/intake": STAFF,
    "DELETE /v1/students/{student_id}/sessions": OPERATOR,
    "GET /v1/items/{item_id}/transactions": OPERATOR,
    "GET /v1/students": OPERATOR,
    "GET /v1/students/{student_id}/logins": OPERATOR,
    "GET /v1/students/{student_id}/sessions": OPERATOR,
    "PATCH /v1/items/{item_id}": OPERATOR,
    "PATCH /v1/students/{student_id}": OPERATOR,
    "POST /v1/items": OPERATOR,
    "POST /v1/items/{item_id}/restock": OPERATOR,
    "POST /v1/students": OPERATOR,
    "POST /v1/students/{student_id}/reset-password": OPERATOR,
    **{f"GET /v1/ops/{service}": OPERATOR for service in subjects.SERVICES},
    "GET /v1/ops/gateway/orders": OPERATOR,
    **{
        f"GET /v1/ops/{service}/orders/{{order_id}}": OPERATOR
        for service in subjects.SERVICES[:1] + subjects.SERVICES[2:]
    },
}
"""The roles that may use a route for what is theirs; another student's order is 404 to them."""


class Route(NamedTuple):
    service: str
    name: str

    @property
    def request(self) -> tuple[str, str]:
        method, _, template = self.name.partition(" ")
        return method, re.sub(r"\{\w+\}", ANY_ID, template)


def routes_of(service: str) -> Iterator[Route]:
    for route in built(service).routes:
        if isinstance(route, HTTPRoute):
            for method in route.methods - {"OPTIONS", "HEAD"}:
                yield Route(service, f"{method} {route.path_format or '/'}")


@pytest.fixture(scope="module")
def routes() -> list[Route]:
    return [route for service in subjects.SERVICES for route in routes_of(service)]


@pytest.fixture
async def web(all_services: dict[str, str]) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    clients = {name: plain_http(base_url=url, timeout_s=TIMEOUT_S) for name, url in all_services.items()}
    yield clients
    for client in clients.values():
        await client.aclose()


async def status_of(client: httpx.AsyncClient, route: Route, token: str | None) -> int:
    """The status alone: an event stream has no end."""
    method, path = route.request
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with client.stream(method, path, headers=headers) as answer:
        return answer.status_code


def test_the_table_has_each_route_of_every_service_and_no_other(routes: list[Route]) -> None:
    assert {route.name for route in routes} == ANYBODY | SIGNED_IN.keys()


async def test_without_a_token_only_the_open_routes_answer(web: Any, routes: list[Route]) -> None:
    for route in routes:
        status = await status_of(web[route.service], route, None)
        assert (status == httpx.codes.UNAUTHORIZED) == (
            route.name in SIGNED_IN or route.name == "POST /v1/token/refresh"
        ), (route, status)


@pytest.mark.parametrize("role", Role)
async def test_a_role_gets_403_where_it_may_not_and_only_there(
    web: Any, routes: list[Route], tokens: Any, role: Role
) -> None:
    token = tokens.sign(f"{role}-1", role)
    for route in routes:
        status = await status_of(web[route.service], route, token)
        may_not = role not in SIGNED_IN.get(route.name, ALL)
        assert (status == httpx.codes.FORBIDDEN) == may_not, (route, status)
