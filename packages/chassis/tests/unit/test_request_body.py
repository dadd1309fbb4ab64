"""Which bodies are accepted, and how a refusal names the place of the fault."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from litestar import post
from litestar.params import JSONBody
from structlog.testing import capture_logs

from cafeteria.chassis.app import MAX_BODY_BYTES, ServiceApp
from cafeteria.chassis.http.request_body import BodyDecoder
from cafeteria.chassis.runtime.errors import NotUnderstood
from cafeteria.contracts.problems import Problem


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    quantity: int = 1
    note: str = ""


class Meal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    lines: tuple[Line, ...] = ()
    name: str = ""
    hot: bool = False
    price: Decimal = Decimal(0)
    extra: Any = None


DECODER = BodyDecoder(Meal)


@post("/meals")
async def cook(data: JSONBody[Meal]) -> Meal:
    return data


@pytest.fixture
def app(make_app: Any) -> ServiceApp:
    return make_app(cook)


@pytest.mark.parametrize(
    ("body", "meal"),
    [
        (b"{}", Meal()),
        (b' {\r\n"hot" : true ,\t"name":"a : b"}\n', Meal(hot=True, name="a : b")),
        (b'{"name":"\\u00e9\\ud83c\\udf5b \\\\u0000 \\"x\\":"}', Meal(name='é🍛 \\u0000 "x":')),
        ('{"name":"খিচুড়ি"}'.encode(), Meal(name="খিচুড়ি")),
        (b'{"lines":[{"quantity":1},{"quantity":1}]}', Meal(lines=(Line(), Line()))),
        (
            b'{"extra":{"name":1,"a":{"name":1}},"name":"x"}',
            Meal(extra={"name": 1, "a": {"name": 1}}, name="x"),
        ),
        (b'{"extra":[1.0,1e2,0.10]}', Meal(extra=[1.0, 100.0, 0.1])),
    ],
)
def test_a_valid_body_becomes_its_value(body: bytes, meal: Meal) -> None:
    assert DECODER.decode(body) == meal


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"lines":[{},{"quantity":"2"}]}', "body.lines[1].quantity: Expected `int`, got `str`"),
        (b'{"lines":[{"quantity":2.0}]}', "body.lines[0].quantity: Expected `int`, got `float`"),
        (b'{"lines":[{"quantity":true}]}', "body.lines[0].quantity: Expected `int`, got `bool`"),
        (b'{"lines":[{"quantiy":2}]}', "body.lines[0]: Object contains unknown field `quantiy`"),
        (b'{"hot":1}', "body.hot: Expected `bool`, got `int`"),
        (b'{"hot":"true"}', "body.hot: Expected `bool`, got `str`"),
        (b'{"name":5}', "body.name: Expected `str`, got `int`"),
        (b'{"name":"caf\xe9"}', "body: the text is not UTF-8 (byte 12)"),
        (b'{"\xff":1}', "body: the text is not UTF-8 (byte 2)"),
        (b'{"extra":{"\xed\xa0\x80":1}}', "body: the text is not UTF-8 (byte 11)"),
        (b'{"name":"\\ud800"}', "body: an escaped surrogate stands alone"),
        (b'{"name":"\\udc00"}', "body: an escaped surrogate stands alone"),
        (b'{"name":"a\\u0000"}', "body.name: a text has the character NUL"),
        (b'{"lines":[{},{"note":"\\u0000"}]}', "body.lines[1].note: a text has the character NUL"),
        (b'{"extra":{"a":["\\u0000"]}}', "body.extra.a[0]: a text has the character NUL"),
        (b'{"extra":{"\\u0000":1}}', "body.extra: a member's name has the character NUL"),
        (b'{"name":"a","name":"b"}', "body: a member occurs more than once in one object: name"),
        (b'{"name":"a","name":"a"}', "body: a member occurs more than once in one object: name"),
        (b'{"name":"a", "na\\u006de" : "b"}', "body: a member occurs more than once in one object: name"),
        (b'{"name":"x","name":"\\u0022:"}', "body: a member occurs more than once in one object: name"),
        (b'{"lines":[{"note":"","note":""}]}', "body: a member occurs more than once in one object: note"),
        (b'{"extra":{"a":{"b":1,"b":1}}}', "body: a member occurs more than once in one object: b"),
        (b'{"extra":' + b"[" * 30_000, "body: the JSON is nested too deeply"),
        (b'{"price":NaN}', "body: JSON is malformed: invalid character (byte 9)"),
        (b'{"extra":Infinity}', "body: JSON is malformed: invalid character (byte 9)"),
        (b"null", "body: Expected `object`, got `null`"),
        (b"[]", "body: Expected `object`, got `array`"),
        (b"", "body: Input data was truncated"),
        (b"\xef\xbb\xbf{}", "body: JSON is malformed: invalid character (byte 0)"),
    ],
)
def test_a_body_that_is_not_its_type_is_refused_with_the_place_of_the_fault(body: bytes, fault: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        DECODER.decode(body)
    assert refused.value.errors == (fault,)


@pytest.mark.parametrize("number", [b"9" * 5000, b"1e999999999", b"-" + b"9" * 400, b"1" + b"0" * 60_000])
def test_a_number_of_any_size_is_accepted_or_refused(number: bytes) -> None:
    for member in (b"extra", b"price"):
        with suppress(NotUnderstood):
            DECODER.decode(b'{"%s":%s}' % (member, number))
    with pytest.raises(NotUnderstood):
        DECODER.decode(b'{"lines":[{"quantity":"%s"}]}' % number)


def test_a_fault_quotes_at_most_300_characters() -> None:
    with pytest.raises(NotUnderstood) as refused:
        DECODER.decode(b'{"%s":1}' % (b"x" * 60_000))
    assert len(refused.value.errors[0]) <= 300


def test_null_is_none_where_no_body_is_required() -> None:
    assert BodyDecoder(Meal | None).decode(b"null") is None


async def test_a_body_that_is_declared_too_large_is_not_read(app: ServiceApp) -> None:
    reads, answer = await answer_to(app, [], content_length=MAX_BODY_BYTES + 1)
    assert answer is not None
    assert (reads, answer.status, answer.type) == (0, 413, "/problems/too-large")


async def test_a_body_that_grows_too_large_is_read_no_further(app: ServiceApp) -> None:
    part = {"type": "http.request", "body": b" " * MAX_BODY_BYTES, "more_body": True}
    reads, answer = await answer_to(app, [part, part, part], content_length=None)
    assert answer is not None
    assert (reads, answer.status) == (2, 413)


async def test_a_client_that_leaves_within_its_body_is_not_answered_and_makes_no_answer_slow(
    app: ServiceApp,
) -> None:
    part = {"type": "http.request", "body": b'{"name": "Ha', "more_body": True}
    with capture_logs() as lines:
        _, answer = await answer_to(app, [part, {"type": "http.disconnect"}], content_length=20)
    assert answer is None
    assert [(line["event"], line["status"]) for line in lines] == [("request_answered", 0)]
    sample, route = app.registry.get_sample_value, {"route": "/meals", "method": "POST"}
    assert sample("cafeteria_http_requests_total", {**route, "status": "499"}) == 1
    assert sample("cafeteria_http_request_seconds_count", route) == 0


async def answer_to(
    app: ServiceApp, messages: list[Any], *, content_length: int | None
) -> tuple[int, Problem | None]:
    """Send the client's ASGI messages to the app; return how many it read, and its answer, if it gave one."""
    unread = iter(messages)
    sent: list[Any] = []
    lengths = [] if content_length is None else [(b"content-length", b"%d" % content_length)]
    scope: Any = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/meals",
        "raw_path": b"/meals",
        "query_string": b"",
        "root_path": "",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "headers": [(b"content-type", b"application/json"), *lengths],
    }
    count = 0

    async def receive() -> Any:
        nonlocal count
        count += 1
        return next(unread)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return count, msgspec.json.decode(sent[1]["body"], type=Problem) if sent else None
