"""Every error of every route is answered with one problem document."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter
from structlog.testing import capture_logs

from cafeteria.chassis.app import MAX_BODY_BYTES, ServiceApp
from cafeteria.chassis.runtime.errors import Conflict, NotFound, Overloaded, ServiceError, Unavailable
from cafeteria.contracts.problems import Problem, ProblemCode

ITEM = UUID("019a0000-0000-7000-8000-000000000001")
ORDER = UUID("019a0000-0000-7000-8000-000000000002")
SECRET = "hunter2"


class Meal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body."""

    lines: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]


class SoldOut(ServiceError):
    """A refusal that a service defines itself."""

    code = ProblemCode.OUT_OF_STOCK
    status = 409
    title = "Out of stock"


RAISED: dict[str, Exception] = {
    "sold-out": SoldOut("One item is sold out. Nothing was ordered.", item_ids=(ITEM,), order_id=ORDER),
    "conflict": Conflict("It has moved on."),
    "missing": NotFound("There is no such meal."),
    "busy": Overloaded("Too many requests are waiting.", retry_after_s=7),
    "away": Unavailable("The store is away."),
    "teapot": HTTPException(status_code=418, detail="short and stout"),
    "bug": RuntimeError(f"password {SECRET}"),
    "litestar-500": HTTPException(status_code=500, detail=SECRET),
}


@post("/meals")
async def cook(data: JSONBody[Meal], times: Annotated[int, QueryParameter(ge=1)] = 1) -> Meal:
    return data


@get("/meals/{meal_id:uuid}")
async def look(meal_id: FromPath[UUID]) -> str:
    return str(meal_id)


@get("/keyed")
async def keyed(key: Annotated[str, HeaderParameter(name="Idempotency-Key")]) -> str:
    return key


@get("/raise/{what:str}")
async def refuse(what: FromPath[str]) -> None:
    raise RAISED[what]


@pytest.fixture(scope="module")
async def client(make_app: Callable[..., ServiceApp], connect: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(make_app(cook, look, keyed, refuse)) as client:
        yield client


def problem_of(answer: httpx.Response) -> Problem:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = msgspec.json.decode(answer.content, type=Problem)
    assert problem.status == answer.status_code
    assert problem.request_id == answer.headers["x-request-id"]
    assert problem.instance == answer.request.url.path
    assert problem.detail.endswith(".")
    return problem


async def test_a_refusal_carries_its_code_its_data_and_its_headers(client: httpx.AsyncClient) -> None:
    problem = problem_of(await client.get("/raise/sold-out"))
    assert (problem.type, problem.title, problem.status) == ("/problems/out-of-stock", "Out of stock", 409)
    assert (problem.item_ids, problem.order_id) == ((ITEM,), ORDER)
    busy = await client.get("/raise/busy")
    assert (problem_of(busy).type, busy.headers["retry-after"]) == ("/problems/overloaded", "7")
    away = await client.get("/raise/away")
    assert (problem_of(away).type, away.headers["retry-after"]) == ("/problems/unavailable", "1")
    assert problem_of(await client.get("/raise/missing")).type == "/problems/not-found"
    assert problem_of(await client.get("/raise/conflict")).type == "/problems/conflict"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"lines":["x"]}', "body.lines[0]: Expected `int`, got `str`"),
        (b'{"lines":[]}', "body.lines: Expected `array` of length >= 1"),
        (b'{"lines":[1],"salt":2}', "body: Object contains unknown field `salt`"),
        (b"{}", "body: Object missing required field `lines`"),
        (b"", "body: a JSON body is missing"),
        (b'{"lines":', "body: Input data was truncated"),
        (b"\xff\xfe", "body: JSON is malformed: invalid character (byte 0)"),
    ],
)
async def test_an_invalid_body_is_400_and_its_fault_is_named(
    client: httpx.AsyncClient, body: bytes, fault: str
) -> None:
    answer = await client.post("/meals", content=body, headers={"content-type": "application/json"})
    problem = problem_of(answer)
    assert (problem.status, problem.type) == (400, "/problems/invalid-request")
    assert problem.errors == (fault,)


async def test_wrong_parameters_and_headers_are_named_too(client: httpx.AsyncClient) -> None:
    problem = problem_of(await client.post("/meals?times=0&token=hunter2", json={"lines": [1]}))
    assert problem.errors == ("query.times: Expected `int` >= 1",)
    assert SECRET not in problem.detail
    (error,) = problem_of(await client.get("/keyed")).errors
    assert "Idempotency-Key" in error


async def test_a_body_of_another_type_is_refused_before_it_is_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/meals", content=b'{"lines":[1]}', headers={"content-type": "text/plain"})
    assert problem_of(answer).status == 415
    form = await client.post("/meals", data={"lines": "1"})
    assert "application/json" in problem_of(form).detail
    empty = await client.post(
        "/meals", content=b"", headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert problem_of(empty).errors == ("body: a JSON body is missing",)
    named = await client.post(
        "/meals", content=b'{"lines":[1]}', headers={"content-type": "application/json; charset=utf-8"}
    )
    assert named.status_code == 201


async def test_an_unknown_path_or_method_gets_a_problem_document(client: httpx.AsyncClient) -> None:
    assert problem_of(await client.get("/nowhere")).type == "/problems/not-found"
    assert problem_of(await client.get("/meals/no-uuid")).status == 404
    assert problem_of(await client.get("/schema/nowhere")).status == 404
    wrong = await client.get("/meals")
    assert (problem_of(wrong).type, wrong.headers["allow"]) == (
        "/problems/method-not-allowed",
        "OPTIONS, POST",
    )
    assert problem_of(await client.get("/raise/teapot")).status == 400


async def test_a_body_that_is_too_large_is_413_declared_or_not(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 4096

    for content in (b" " * (MAX_BODY_BYTES + 1), chunks()):
        answer = await client.post("/meals", content=content, headers={"content-type": "application/json"})
        assert problem_of(answer).type == "/problems/too-large"


@pytest.mark.parametrize("path", ["/raise/bug", "/raise/litestar-500"])
async def test_an_unforeseen_error_is_hidden_from_the_client_and_logged_once(
    client: httpx.AsyncClient, path: str
) -> None:
    with capture_logs() as lines:
        answer = await client.get(path)
    problem = problem_of(answer)
    assert (problem.status, problem.type) == (500, "/problems/internal")
    assert SECRET not in answer.text
    failures = [line for line in lines if line["event"] == "request_failed"]
    assert len(failures) == 1
    assert isinstance(failures[0]["exc_info"], Exception)


async def test_an_error_outside_a_handler_gets_a_problem_document(
    make_app: Callable[..., ServiceApp], connect: Any
) -> None:
    app = make_app(look)

    async def burn(_message: Any, _scope: Any) -> None:
        raise RuntimeError(SECRET)

    app.before_send.append(burn)
    async with connect(app) as client:
        assert problem_of(await client.get(f"/meals/{ITEM}")).type == "/problems/internal"
    async with connect(make_app(look)) as client:
        answer = await client.get("/meals", headers={"host": "not a host"})
        assert problem_of(answer).errors == ("header.Host: no host",)
