"""Answers carry the headers that protect them in browsers, errors of a bug too; a route may replace the defaults."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from litestar import Response, get

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.http.security_headers import DEFAULTS, with_defaults

PAGE_POLICY = "default-src 'self'"


@get("/bug")
async def fail() -> None:
    raise ZeroDivisionError


@get("/page")
async def page() -> Response[str]:
    return Response("a page", headers={"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "max-age=60"})


@pytest.fixture
async def client(make_app: Callable[..., ServiceApp], connect: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(make_app(fail, page)) as client:
        yield client


async def test_an_unforeseen_error_has_them(client: httpx.AsyncClient) -> None:
    answer = await client.get("/bug")
    assert answer.status_code == 500
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert {name.decode(): answer.headers[name.decode()].encode() for name, _ in DEFAULTS} == {
        name.decode(): value for name, value in DEFAULTS
    }
    assert "strict-transport-security" not in answer.headers


async def test_a_route_replaces_the_defaults_that_it_has_itself(client: httpx.AsyncClient) -> None:
    answer = await client.get("/page")
    assert answer.headers.get_list("content-security-policy") == [PAGE_POLICY]
    assert answer.headers.get_list("cache-control") == ["max-age=60"]
    assert answer.headers.get_list("referrer-policy") == ["no-referrer"]
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


def test_only_missing_defaults_are_added() -> None:
    own = [(b"content-type", b"text/plain"), (b"referrer-policy", b"origin")]
    assert with_defaults(own) == [*own, *(pair for pair in DEFAULTS if pair[0] != b"referrer-policy")]
    assert with_defaults([]) == list(DEFAULTS)
