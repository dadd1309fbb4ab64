"""One OpenAPI document, at two paths, describes the API and its problem documents."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import get, post
from litestar.params import FromQuery, JSONBody

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.auth.jwks import KeySource
from cafeteria.chassis.auth.tokens import requires


class Meal(msgspec.Struct, frozen=True, kw_only=True):
    """Something to eat."""

    name: str
    items: tuple[UUID, ...] = ()


@post("/meals", before_request=requires())
async def cook(data: JSONBody[Meal]) -> Meal:
    """Cook a meal, <warm>."""
    return data


@get("/menu")
async def menu(at: FromQuery[str | None] = None) -> list[Meal]:
    return []


@pytest.fixture
async def client(
    make_app: Callable[..., ServiceApp], connect: Any, signer: Any
) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(make_app(cook, menu, keys=KeySource(signer.fetch))) as client:
        yield client


async def test_both_addresses_answer_the_same_document(client: httpx.AsyncClient) -> None:
    short, full = await client.get("/schema"), await client.get("/schema/openapi.json")
    assert (short.status_code, full.status_code) == (200, 200)
    assert short.headers["content-type"] == "application/vnd.oai.openapi+json"
    assert short.content == full.content


async def test_an_unknown_address_beside_them_gets_a_problem_document(client: httpx.AsyncClient) -> None:
    answer = await client.get("/schema/swagger")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_the_document_describes_authentication_and_error_responses(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        document = (await client.get("/schema/openapi.json")).json()
    paths = document["paths"]
    assert paths["/meals"]["post"]["security"] == [{"bearer": []}, {"cookie": []}]
    assert paths["/menu"]["get"]["security"] == []
    assert set(document["components"]["securitySchemes"]) == {"bearer", "cookie"}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operation in (paths["/meals"]["post"], paths["/menu"]["get"]):
        errors = {status: each for status, each in operation["responses"].items() if status[0] in "45d"}
        assert errors
        assert all(each["content"] == problem for each in errors.values())
    assert "request_id" in document["components"]["schemas"]["Problem"]["properties"]


async def test_the_operations_of_every_service_are_in_the_document(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/schema/openapi.json")).json()["paths"]
    assert {"/health", "/health/live", "/health/ready", "/metrics"} <= set(paths)
