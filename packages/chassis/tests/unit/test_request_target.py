"""Which queries and paths are accepted, and how the others are refused."""

from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import Annotated, Any

import httpx
import pytest
from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from cafeteria.chassis.app import ServiceApp
from cafeteria.chassis.http.request_target import check_path
from cafeteria.chassis.runtime.errors import NotUnderstood


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


@get("/meals")
async def list_meals(
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    hot: FromQuery[bool | None] = None,
    size: FromQuery[Size | None] = None,
    tag: FromQuery[list[str] | None] = None,
    text: Annotated[str, QueryParameter(name="search")] = "",
) -> list[Any]:
    return [limit, hot, size, tag, text]


@get("/meals/{meal:str}")
async def look(meal: FromPath[str]) -> str:
    return meal


@pytest.fixture(scope="module")
async def client(make_app: Callable[..., ServiceApp], connect: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(make_app(list_meals, look)) as client:
        yield client


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [50, None, None, None, ""]),
        ("limit=200&hot=true&size=large", [200, True, "large", None, ""]),
        ("hot=false&tag=a&tag=b", [50, False, None, ["a", "b"], ""]),
        ("search=%E0%A6%96%20a%2Bb+c", [50, None, None, None, "খ a+b c"]),
        ("search=", [50, None, None, None, ""]),
        ("utm_source=poster&_=1", [50, None, None, None, ""]),
    ],
)
async def test_a_valid_query_is_parsed(client: httpx.AsyncClient, query: str, found: list[Any]) -> None:
    answer = await client.get(f"/meals?{query}")
    assert (answer.status_code, answer.json()) == (200, found)


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        *(
            (f"limit={limit}", "query.limit: Expected `int`, in plain digits")
            for limit in (
                "1e1",
                "+5",
                "%2B5",
                "%205",
                "5%0A",
                "%D9%A3",
                "%EF%BC%95",
                "1_0",
                "5.0",
                "",
                "05",
                "0x5",
                "true",
            )
        ),
        ("limit=" + "9" * 5000, "query.limit: Expected `int`, in plain digits"),
        ("limit=0", "query.limit: Expected `int` >= 1"),
        *(
            (f"hot={hot}", "query.hot: Expected `true` or `false`")
            for hot in ("1", "True", "yes", "null", "")
        ),
        *(
            (f"size={size}", "query.size: Expected one of small, large")
            for size in ("SMALL", "null", "", "small ")
        ),
        ("limit=1&limit=1", "query.limit: it occurs more than once"),
        ("limit=1&limi%74=2", "query.limit: it occurs more than once"),
        ("search=a&search=b", "query.search: it occurs more than once"),
        ("x=1&x=2", "query.x: it occurs more than once"),
        ("x=%ff", "query: the escaped text is not UTF-8"),
        ("%ed%a0%80=1", "query: the escaped text is not UTF-8"),
        ("x=%00", "query: it has the character NUL"),
        ("x=%", "query: an escape is not % and two hexadecimal digits"),
        ("x=%2", "query: an escape is not % and two hexadecimal digits"),
        ("x=%zz", "query: an escape is not % and two hexadecimal digits"),
    ],
)
async def test_an_ambiguous_or_malformed_query_is_refused(
    client: httpx.AsyncClient, query: str, fault: str
) -> None:
    answer = await client.get(f"/meals?{query}")
    assert (answer.status_code, answer.json()["errors"]) == (400, [fault])


@pytest.mark.parametrize("path", [b"/%ff", b"/%00", b"/%", b"/a%2", b"/%zz", b"/%c0%80", b"/\xc3\xa9"])
def test_a_path_that_is_not_utf_8_in_whole_escapes_is_refused(path: bytes) -> None:
    with pytest.raises(NotUnderstood) as refused:
        check_path(path)
    assert refused.value.errors[0].startswith("path: ")


async def test_a_malformed_path_is_400_and_a_valid_one_is_decoded(client: httpx.AsyncClient) -> None:
    assert (await client.get("/meals/%E0%A6%96%20a")).text == "খ a"
    broken = await client.get("/meals/%00")
    assert (broken.status_code, broken.json()["errors"]) == (400, ["path: it has the character NUL"])
