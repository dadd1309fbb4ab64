"""Every answer of every service tells browsers to guess, frame and keep nothing: all routes, methods and refusals."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from cafeteria.chassis.http.security_headers import HSTS_MAX_AGE_S
from cafeteria.contracts import subjects
from cafeteria.provisioning.plain_http import plain_http

TIMEOUT_S = 20.0
ANY_ID = "0193a400-0000-7000-8000-00000000000f"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW")
ALWAYS = {
    "x-content-type-options": ["nosniff"],
    "cross-origin-resource-policy": ["same-origin"],
    "referrer-policy": ["no-referrer"],
    "content-security-policy": ["default-src 'none'; frame-ancestors 'none'"],
}
PUBLIC = {("identity", "/.well-known/jwks.json")}
"""What caches may keep."""

UNREADABLE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"nonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000,
    b"POST /v1/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
]


class Place(NamedTuple):
    service: str
    path: str
    methods: frozenset[str]


class Services:
    """The five services over HTTP, and all their paths."""

    def __init__(self, urls: dict[str, str], tokens: Any, places: list[Place]) -> None:
        self._web = {name: plain_http(base_url=url, timeout_s=TIMEOUT_S) for name, url in urls.items()}
        self.tokens = [tokens.student("210041101"), tokens.kitchen(), tokens.operator()]
        self.places = places

    async def answer(self, service: str, method: str, path: str, **options: Any) -> httpx.Response:
        """Of an event stream, which has no end, the head alone."""
        web = self._web[service]
        answer = await web.send(web.build_request(method, path, **options), stream=True)
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            await answer.aread()
        await answer.aclose()
        return answer

    async def close(self) -> None:
        for web in self._web.values():
            await web.aclose()


@pytest.fixture
async def services(
    all_services: dict[str, str], tokens: Any, published: Any, built: Any
) -> AsyncIterator[Services]:
    places = [
        place for service in subjects.SERVICES for place in places_of(service, published, built(service))
    ]
    services = Services(all_services, tokens, places)
    yield services
    await services.close()


def places_of(service: str, published: Any, app: Any) -> Iterator[Place]:
    """The paths of the app's routes, which are those of its document."""
    documented = published.documents[service]["paths"]
    assert set(documented) == {route.path_format for route in app.routes}
    for template, item in documented.items():
        methods = frozenset(name.upper() for name in item)
        yield Place(service, re.sub(r"\{\w+\}", ANY_ID, template), methods)


def check(answer: httpx.Response, place: tuple[str, str], *, is_https: bool = False) -> None:
    found = {name: answer.headers.get_list(name) for name in ALWAYS}
    assert found == ALWAYS, (place, answer)
    caching = ["public, max-age=300"] if place in PUBLIC and answer.status_code == 200 else ["no-store"]
    if answer.request.method == "OPTIONS":
        caching = ["no-store"]
    assert answer.headers.get_list("cache-control") == caching, (place, answer)
    hsts = [f"max-age={HSTS_MAX_AGE_S}"] if is_https else []
    assert answer.headers.get_list("strict-transport-security") == hsts


async def test_every_route_by_every_method_with_and_without_a_token(services: Services) -> None:
    seen: set[tuple[str, int]] = set()
    for service, path, methods in services.places:
        for method in METHODS:
            for token in (None, "forged", *services.tokens) if method in methods else (None,):
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                answer = await services.answer(service, method, path, headers=headers)
                check(answer, (service, path))
                seen.add((method, answer.status_code))
    assert {status for _, status in seen} >= {200, 204, 400, 401, 403, 404, 405}
    for place in services.places:
        assert place.methods <= {method for method, status in seen if status != 405}


async def test_every_refusal_of_a_body_a_header_or_a_page(services: Services) -> None:
    seen: set[int] = set()
    tries: list[dict[str, Any]] = [
        {"content": b"{"},
        {"content": b"x" * 70_000, "headers": {"Content-Type": "application/json"}},
        {"content": b"<x/>", "headers": {"Content-Type": "text/xml"}},
        {"headers": {"Cookie": "cafeteria_access=a; cafeteria_access=b"}},
        {"headers": {"Origin": "https://evil.example"}},
        {"params": {"limit": ["1", "2"]}},
    ]
    for service, path, methods in services.places:
        for method in methods:
            for options in tries:
                answer = await services.answer(service, method, path, **options)
                check(answer, (service, path))
                seen.add(answer.status_code)
    assert seen >= {400, 401, 403, 413, 415}


async def test_unknown_paths_and_preflights(services: Services) -> None:
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for service in subjects.SERVICES:
        for method in METHODS:
            for path in ("/", "/nowhere", "/schema/swagger", "/v1", "//", "/v1/orders/x/y"):
                check(await services.answer(service, method, path), (service, path))
        answer = await services.answer(service, "OPTIONS", "/v1/orders", headers=preflight)
        assert answer.status_code == 403
        check(answer, (service, "/v1/orders"))


@pytest.mark.parametrize("service", subjects.SERVICES)
async def test_what_is_no_request_at_all(all_services: dict[str, str], service: str) -> None:
    url = httpx.URL(all_services[service])
    for data in UNREADABLE:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(data)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT_S)
        writer.close()
        status, *lines = head.decode().split("\r\n")[:-2]
        pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        request = httpx.Request("GET", url)
        check(httpx.Response(int(status.split()[1]), headers=pairs, request=request), (service, "raw"))


@pytest.mark.parametrize(
    "service", [subjects.IDENTITY, subjects.STOCK]
)  # the others wait for these; the code is one
async def test_where_browsers_use_https_alone_they_are_told_to_remember_it(
    start: Any, service: str, published: Any, built: Any
) -> None:
    url = await start(service, CAFETERIA_PUBLIC_ORIGINS="https://canteen.example")
    async with plain_http(base_url=url, timeout_s=TIMEOUT_S) as web:
        for place in places_of(service, published, built(service)):
            check(await web.get(place.path), place[:2], is_https=True)
