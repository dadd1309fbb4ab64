"""No body, query, path or header that a client can send makes a service answer 500; every route of all five is tried."""

import re
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any, NamedTuple, get_args

import httpx
import msgspec
import pytest
from litestar.routes import HTTPRoute

from cafeteria.chassis.auth.tokens import Guard
from cafeteria.contracts import problems, subjects
from cafeteria.contracts.values import Role
from cafeteria.local_stack.api_documents import built
from cafeteria.provisioning.plain_http import plain_http

TIMEOUT_S = 20.0
ANY_ID = "0193a400-0000-7000-8000-00000000000f"
VARYING = {"date", "x-request-id", "transfer-encoding"}
NOT_UTF_8 = [b"caf\xe9", b"\xed\xa0\x80", b"\xc0\x80", b"\xff", b"\xf5\x80\x80\x80", b"\xe0\xa6"]
NO_TEXT = [
    *NOT_UTF_8,
    b"\\ud800",
    b"\\udc00 x",
    b"\\ud800\\u0041",
    b"\\u0000",
    b"a\\u0000b",
    b"\x00",
    b"\x1f",
]
NO_INTEGERS = [
    b'"2"',
    b"2.0",
    b"2e0",
    b"true",
    b"null",
    b"NaN",
    b"Infinity",
    b"-1",
    b"1e400",
    b"9" * 5000,
    b"01",
]
NO_JSON = [
    *NOT_UTF_8,
    b"{",
    b"[",
    b"{}x",
    b"NaN",
    b"'a'",
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    b"[" * 30_000,
    b'{"a":' * 10_000,
    b"[" * 20_000 + b"]" * 20_000,
    b"[]",
    b'"text"',
    b"17",
    b"true",
]


class Route(NamedTuple):
    service: str
    method: str
    template: str
    handler: Any

    @property
    def path(self) -> str:
        return re.sub(r"\{\w+\}", ANY_ID, self.template)

    @property
    def guard(self) -> Guard | None:
        guard = self.handler.resolve_before_request()
        return guard if isinstance(guard, Guard) else None

    @property
    def body(self) -> Any:
        return self.handler.parsed_fn_signature.parameters.get("data")


class Boundary:
    """The five services over HTTP, and all their routes."""

    def __init__(self, urls: dict[str, str], tokens: Any, routes: list[Route]) -> None:
        self._web = {name: plain_http(base_url=url, timeout_s=TIMEOUT_S) for name, url in urls.items()}
        self._tokens = {Role.STUDENT: tokens.student("210041101"), Role.KITCHEN: tokens.kitchen()}
        self._tokens[Role.OPERATOR] = tokens.operator()
        self.routes = routes

    async def send(self, route: Route, *, signed_in: bool = True, **options: Any) -> httpx.Response:
        return await self.answer(route, self.request(route, signed_in=signed_in, **options))

    async def answer(self, route: Route, request: httpx.Request) -> httpx.Response:
        return await self._web[route.service].send(request)

    def request(
        self, route: Route, *, signed_in: bool = True, method: str = "", path: str = "", **options: Any
    ) -> httpx.Request:
        headers = {"Content-Type": "application/json", "Idempotency-Key": "boundary"}
        if signed_in and route.guard:
            role = next(iter(sorted(route.guard.roles)), Role.STUDENT)
            headers["Authorization"] = f"Bearer {self._tokens[role]}"
        headers |= options.pop("headers", {})
        web = self._web[route.service]
        return web.build_request(method or route.method, path or route.path, headers=headers, **options)

    async def head_of_stream(self, route: Route) -> httpx.Response:
        answer = await self._web[route.service].send(self.request(route), stream=True)
        await answer.aclose()
        return answer

    async def close(self) -> None:
        for web in self._web.values():
            await web.aclose()


def routes_of(service: str, app: Any) -> Iterator[Route]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                yield Route(service, str(method), route.path_format, handler)


@pytest.fixture(scope="module")
def routes() -> list[Route]:
    return [route for service in subjects.SERVICES for route in routes_of(service, built(service))]


@pytest.fixture
async def boundary(all_services: dict[str, str], tokens: Any, routes: list[Route]) -> AsyncIterator[Boundary]:
    boundary = Boundary(all_services, tokens, routes)
    yield boundary
    await boundary.close()


@pytest.fixture
def with_body(routes: list[Route]) -> list[Route]:
    routes = [route for route in routes if route.body]
    assert {route.service for route in routes} >= {subjects.GATEWAY, subjects.IDENTITY, subjects.STOCK}
    return routes


def kind_of(route: Route) -> Any:
    """The struct of the body, also where the body is optional."""
    inner = [each.annotation for each in route.body.inner_types if not each.is_none_type]
    return inner[0] if route.body.is_optional else route.body.annotation


def test_a_body_refuses_unknown_fields(with_body: list[Route]) -> None:
    """A refusal reports a misspelt field, which would otherwise be lost."""
    for route in with_body:
        for kind in (kind_of(route), *inner_structs(kind_of(route))):
            assert kind.__struct_config__.forbid_unknown_fields, (route, kind)


def inner_structs(kind: Any) -> Iterator[Any]:
    """The structs in the lists of a struct: a body is no deeper."""
    for field in msgspec.structs.fields(kind):
        declared = msgspec.inspect.type_info(field.type)
        inner = getattr(declared, "item_type", declared)
        if isinstance(inner, msgspec.inspect.StructType):
            yield inner.cls


def nullable_in(kind: Any) -> set[str]:
    """The fields that may be null: for them null is no wrong value."""
    fields = msgspec.structs.fields(kind)
    return {field.encode_name for field in fields if type(None) in get_args(field.type)}


def wrong_bodies(valid: bytes, *, nullable: Collection[str] = ()) -> Iterator[bytes]:
    yield from NO_JSON
    for text in NO_TEXT:
        yield valid[:-1] + b',"' + text + b'":1}'
    for document in with_a_wrong_value(msgspec.json.decode(valid)):
        body = msgspec.json.encode(document)
        if not any(b'"%s":null' % name.encode() in body for name in nullable):
            yield body
    for name, value in msgspec.json.decode(valid, type=dict[str, msgspec.Raw]).items():
        yield valid[:-1] + b',"%s":%s}' % (name.encode(), bytes(value))


def with_a_wrong_value(value: Any) -> Iterator[Any]:
    """The document once for each wrong value at each of its places."""
    match value:
        case dict():
            for name, each in value.items():
                yield from ({**value, name: wrong} for wrong in with_a_wrong_value(each))
        case list():
            for index, each in enumerate(value):
                for wrong in with_a_wrong_value(each):
                    yield [*value[:index], wrong, *value[index + 1 :]]
        case str():
            yield from (msgspec.Raw(b'"%s"' % text) for text in NO_TEXT)
        case bool():
            yield from map(msgspec.Raw, (b"1", b"0", b'"true"', b"null"))
        case int():
            yield from map(msgspec.Raw, (b"{}", b'{"a":' * 2000))
            yield from map(msgspec.Raw, NO_INTEGERS)


def problem_of(answer: httpx.Response) -> problems.Problem:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return msgspec.json.decode(answer.content, type=problems.Problem)


async def test_a_body_that_cannot_be_decoded_is_400_and_names_the_place(
    boundary: Boundary, with_body: list[Route], golden: Any
) -> None:
    for route in with_body:
        for body in wrong_bodies(golden(kind_of(route))[""], nullable=nullable_in(kind_of(route))):
            answer = await boundary.send(route, content=body)
            assert answer.status_code == httpx.codes.BAD_REQUEST, (route, body[:80], answer.text)
            (fault,) = problem_of(answer).errors
            assert fault.startswith("body"), (route, body[:80], fault)


async def test_without_a_token_the_body_is_not_read(boundary: Boundary, with_body: list[Route]) -> None:
    for route in filter(lambda route: route.guard, with_body):
        for body in (*NO_JSON, b""):
            answer = await boundary.send(route, content=body, signed_in=False)
            assert answer.status_code == httpx.codes.UNAUTHORIZED, (route, body[:80], answer.text)


async def test_an_empty_body_or_null_is_400_where_a_body_is_needed(
    boundary: Boundary, with_body: list[Route]
) -> None:
    for route in filter(lambda route: not route.body.is_optional, with_body):
        for body in (b"", b"null", b" "):
            answer = await boundary.send(route, content=body)
            assert answer.status_code == httpx.codes.BAD_REQUEST, (route, body, answer.text)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": 'application/json;charset="ISO-8859-1"'},
        {"Content-Type": "text/plain"},
        {"Content-Encoding": "gzip"},
    ],
)
async def test_bodies_in_other_types_and_encodings_are_415(
    boundary: Boundary, with_body: list[Route], golden: Any, headers: dict[str, str]
) -> None:
    for route in with_body:
        answer = await boundary.send(route, content=golden(kind_of(route))[""], headers=headers)
        assert answer.status_code == httpx.codes.UNSUPPORTED_MEDIA_TYPE, (route, answer.text)
        problem_of(answer)


BROKEN_QUERIES = ["a=%ff", "a=%00", "a=%", "a=%zz", "%ed%a0%80=1", "a=%c0%80", "%00"]


async def test_a_broken_query_is_400_on_every_route(boundary: Boundary) -> None:
    for route in boundary.routes:
        if route.method == "GET":
            for query in BROKEN_QUERIES:
                answer = await boundary.send(route, path=f"{route.path}?{query}")
                assert answer.status_code == httpx.codes.BAD_REQUEST, (route, query)
                assert problem_of(answer).errors[0].startswith("query"), (route, query)


REQUIRED = {"/v1/ops/gateway/orders": "student_id=210041101&"}
"""What a route cannot do without, beside what its test is about."""
NO_LIMITS = [
    "1e1",
    "%205",
    "5%20",
    "+5",
    "%2B5",
    "%D9%A3",
    "1_0",
    "5.0",
    "true",
    "",
    "05",
    "0x5",
    "-1",
    "0",
    "9" * 5000,
]


async def test_the_length_of_a_page_is_given_once_and_in_plain_digits(boundary: Boundary) -> None:
    paged = [route for route in boundary.routes if "limit" in route.handler.parsed_fn_signature.parameters]
    assert len(paged) >= len((subjects.GATEWAY, subjects.STOCK, subjects.KITCHEN, subjects.NOTIFICATION))
    for route in paged:
        path = f"{route.path}?{REQUIRED.get(route.template, '')}"
        for limit in NO_LIMITS:
            answer = await boundary.send(route, path=f"{path}limit={limit}")
            assert answer.status_code == httpx.codes.BAD_REQUEST, (route, limit[:80], answer.text)
            assert problem_of(answer).errors[0].startswith("query.limit"), (route, limit[:80])
        for query in ("limit=1&limit=2", "limit=1&limit=1", "cursor=a&cursor=b", "x=1&x=2"):
            answer = await boundary.send(route, path=f"{path}{query}")
            assert answer.status_code == httpx.codes.BAD_REQUEST, (route, query)
        answer = await boundary.send(route, path=f"{path}limit=1&utm_source=poster")
        assert answer.status_code in (httpx.codes.OK, httpx.codes.NOT_FOUND), (route, answer.text)


BROKEN_PATHS = ["%ff", "%00", "%c0%80", "%ed%a0%80", "%", "%zz"]


async def test_a_broken_path_is_400_or_404_on_every_route(boundary: Boundary) -> None:
    for route in boundary.routes:
        for broken in BROKEN_PATHS:
            for path in (f"{route.path.rstrip('/')}/{broken}", route.path.replace(ANY_ID, broken)):
                if path != route.path:
                    answer = await boundary.send(route, path=path)
                    assert answer.status_code in (400, 404), (route, path, answer.text)


ONCE = ("Authorization", "Content-Type", "Idempotency-Key", "Origin", "Last-Event-ID")


@pytest.mark.parametrize("name", ONCE)
async def test_a_header_that_decides_something_occurs_once(boundary: Boundary, name: str) -> None:
    for route in boundary.routes:
        request = boundary.request(route)
        others = [pair for pair in request.headers.items() if pair[0] != name.lower()]
        request.headers = httpx.Headers([*others, (name, "a"), (name, "a")])
        answer = await boundary.answer(route, request)
        assert answer.status_code == httpx.codes.BAD_REQUEST, (route, name)
        if route.method != "HEAD":
            assert problem_of(answer).errors == (f"header.{name.title()}: it occurs more than once",)


async def test_cookies_of_any_bytes_are_no_error_of_the_service(boundary: Boundary) -> None:
    for route in boundary.routes:
        for cookie in (
            b"\xff\xfe",
            b"cafeteria_access=\xff",
            b"cafeteria_refresh=\xe9; cafeteria_logout=\x80",
            b";=;;",
        ):
            answer = await boundary.send(route, signed_in=False, headers={"Cookie": cookie})
            assert answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR, (route, cookie)


async def test_head_answers_as_get_without_a_body(boundary: Boundary) -> None:
    for route in boundary.routes:
        if route.method == "GET":
            head = await boundary.send(route, method="HEAD")
            get = await boundary.head_of_stream(route)
            changes = route.template.startswith(("/metrics", "/health", "/v1/ops"))
            varying = VARYING | ({"content-length"} if changes else set())
            expected = {name: value for name, value in get.headers.items() if name not in varying}
            found = {name: value for name, value in head.headers.items() if name not in varying}
            assert (head.status_code, found, head.content) == (get.status_code, expected, b""), route


async def test_options_and_405_name_every_method_of_a_path(boundary: Boundary) -> None:
    methods: dict[tuple[str, str], set[str]] = {}
    for route in boundary.routes:
        taken = methods.setdefault((route.service, route.template), {"OPTIONS"})
        taken |= {route.method, "HEAD"} if route.method == "GET" else {route.method}
    for route in boundary.routes:
        expected = ", ".join(sorted(methods[route.service, route.template]))
        answer = await boundary.send(route, method="OPTIONS", signed_in=False)
        assert (answer.status_code, answer.headers["allow"], answer.content) == (204, expected, b""), route
        other = next(method for method in ("DELETE", "PUT", "TRACE") if method not in expected)
        refused = await boundary.send(route, method=other, signed_in=False)
        assert (refused.status_code, refused.headers["allow"]) == (405, expected), route
