"""The published OpenAPI documents are valid, complete, and match the contracts."""

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from cafeteria.contracts import subjects

METHODS = ("get", "post", "put", "patch", "delete")
GUARDED: list[dict[str, list[str]]] = [{"bearer": []}, {"cookie": []}]

Operations = Iterator[tuple[str, str, dict[str, Any]]]

every_service = pytest.mark.parametrize("service", subjects.SERVICES)


@pytest.fixture(scope="module")
def documents(published: Any) -> dict[str, dict[str, Any]]:
    documents: dict[str, dict[str, Any]] = published.documents
    return documents


def operations_of(document: dict[str, Any]) -> Operations:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def struct_named(name: str) -> type[msgspec.Struct] | None:
    modules = [import_module(f"cafeteria.contracts.{owner}") for owner in (*subjects.SERVICES, "ops")]
    return next((getattr(module, name) for module in modules if hasattr(module, name)), None)


@every_service
def test_a_document_is_openapi_and_all_its_schemas_are_in_it(documents: Any, service: str) -> None:
    document = documents[service]
    OpenAPIV31SpecValidator(document).validate()
    referred = set(re.findall(r"#/components/schemas/(\w+)", msgspec.json.encode(document).decode()))
    assert referred == set(document["components"]["schemas"])


@every_service
def test_every_operation_documents_its_callers_and_its_answers(documents: Any, service: str) -> None:
    operations = list(operations_of(documents[service]))
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(set(names)) == len(names)
    for method, path, operation in operations:
        statuses = set(operation["responses"])
        assert operation["security"] in ([], GUARDED)
        assert operation["tags"]
        assert {"400", "503", "default"} <= statuses
        assert not operation["security"] or "401" in statuses
        assert operation["security"] == [] or method == "get" or "403" in statuses
        assert ("{" in path) == ("404" in statuses)
        assert ("requestBody" in operation) == ("413" in statuses)
        assert (method in {"post", "put", "patch"}) == ("415" in statuses)


@every_service
def test_an_error_is_a_problem_document_with_the_headers_of_its_status(documents: Any, service: str) -> None:
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for _, path, operation in operations_of(documents[service]):
        for status, response in operation["responses"].items():
            if status[0] in "45d":
                assert response["content"]["application/problem+json"] == problem
            if status in {"429", "503"} and not path.startswith("/health"):
                assert response["headers"]["Retry-After"]["required"]
            if status == "401":
                assert response["headers"]["WWW-Authenticate"]["required"]


DECLARED = [
    ("gateway", "post /v1/orders", {"201", "202", "409", "422", "429"}),
    ("gateway", "post /v1/orders/{order_id}/cancel", {"200", "409"}),
    ("notification", "get /v1/events", {"200", "429"}),
    ("notification", "get /v1/orders/{order_id}/events", {"200", "429"}),
    ("identity", "post /v1/login", {"200", "401", "403", "429"}),
    ("identity", "post /v1/token/refresh", {"200", "401", "403"}),
    ("identity", "post /v1/logout", {"204", "403"}),
    ("identity", "post /v1/students", {"201", "409"}),
    ("stock", "post /v1/items/{item_id}/restock", {"200", "409"}),
    ("kitchen", "post /v1/tickets/{ticket_id}/start", {"200", "409"}),
]


@pytest.mark.parametrize(("service", "route", "statuses"), DECLARED)
def test_the_refusals_that_a_route_names_are_there(
    documents: Any, service: str, route: str, statuses: set[str]
) -> None:
    method, path = route.split(" ")
    assert statuses <= set(documents[service]["paths"][path][method]["responses"])


MEDIA_TYPES = [
    ("gateway", "/metrics", {"text/plain"}),
    ("gateway", "/schema", {"application/vnd.oai.openapi+json"}),
    ("gateway", "/schema/openapi.json", {"application/vnd.oai.openapi+json"}),
    ("gateway", "/health/ready", {"application/json"}),
    ("notification", "/v1/events", {"text/event-stream"}),
    ("notification", "/v1/orders/{order_id}/events", {"text/event-stream"}),
]


@pytest.mark.parametrize(("service", "path", "media_types"), MEDIA_TYPES)
def test_an_answer_has_its_own_media_type(
    documents: Any, service: str, path: str, media_types: set[str]
) -> None:
    assert set(documents[service]["paths"][path]["get"]["responses"]["200"]["content"]) == media_types


@every_service
def test_a_body_takes_no_members_that_the_code_would_refuse(documents: Any, service: str) -> None:
    """Schemas of answers are open, for answers may get more members."""
    for name, schema in documents[service]["components"]["schemas"].items():
        struct = struct_named(name)
        if struct is not None and issubclass(struct, msgspec.Struct):
            is_closed = schema.get("additionalProperties") is False
            assert is_closed == struct.__struct_config__.forbid_unknown_fields
    for _, path, operation in operations_of(documents[service]):
        body = msgspec.json.encode(operation.get("requestBody", {})).decode()
        for name in re.findall(r"#/components/schemas/(\w+)", body):
            assert documents[service]["components"]["schemas"][name]["additionalProperties"] is False, path


@every_service
def test_every_golden_example_fits_and_a_broken_one_does_not(
    documents: Any, published: Any, golden: Any, service: str
) -> None:
    tried = 0
    for name in documents[service]["components"]["schemas"]:
        struct = struct_named(name)
        schema = {"$ref": f"#/components/schemas/{name}"}
        if struct is None or not issubclass(struct, msgspec.Struct):
            continue
        for example in golden(struct).values():
            value = msgspec.json.decode(example)
            assert published.faults(service, schema, value) == []
            for broken in broken_ones(struct, value):
                tried += 1
                assert published.faults(service, schema, broken), broken
                with pytest.raises(msgspec.ValidationError):
                    msgspec.json.decode(msgspec.json.encode(broken), type=struct)
    assert tried > 10


def broken_ones(struct: type[msgspec.Struct], value: dict[str, Any]) -> Iterator[Any]:
    yield from (None, [value], "text")
    for field in msgspec.structs.fields(struct):
        if field.required:
            yield {name: each for name, each in value.items() if name != field.encode_name}
        yield {**value, field.encode_name: {"foreign": ["thing"]}}


@every_service
def test_a_pattern_is_read_alike_by_python_and_by_javascript(documents: Any, service: str) -> None:
    r"""`$` is not: it matches before a line's end in Python alone. Nor are Python's own `\Z`, `(?P…` and `(?i)`."""
    patterns = set(patterns_in(documents[service]))
    assert [each for each in patterns if re.search(r"(?<!\\)\$|\\[ZAz]|\(\?[^=!:]", each)] == []
    assert all(each.startswith("^") and each.endswith(r"(?![\s\S])") for each in patterns)
    for each in patterns:
        re.compile(each)


def patterns_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        for inner in value.values():
            yield from patterns_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from patterns_in(inner)


SPELLINGS = [
    (
        "gateway",
        "Idempotency-Key",
        ["k", '"k"', '"a,b"', "x" * 255],
        ["", "a,b", "k\n", " k", '"k', "x" * 256],
    ),
    ("gateway", "cursor", ["A" * 22], ["A" * 21, "A" * 23, "A" * 22 + "\n", "=" * 22]),
    ("stock", "Price", ["0", "1.5", "12.34"], ["", 12.5, "1e2", "-1", "1_0", "1.234", "1.00\n", "123456789"]),
    ("identity", "StudentId", ["A-1", "x" * 32], ["", "a b", "x" * 33, "210041101\n"]),
    ("identity", "search", ["", "100%_", "আয়", "x" * 120], ["a\0", "x" * 121]),
    ("notification", "cursor", ["17"], ["", "a", "1" * 19, "17\n"]),
]


@pytest.mark.parametrize(("service", "name", "right", "wrong"), SPELLINGS)
def test_texts_are_spelled_as_the_code_reads_them(
    documents: Any, published: Any, service: str, name: str, right: list[Any], wrong: list[Any]
) -> None:
    schema = schema_of_text(documents[service], name)
    assert [text for text in right if published.faults(service, schema, text)] == []
    assert [text for text in wrong if not published.faults(service, schema, text)] == []


def schema_of_text(document: dict[str, Any], name: str) -> dict[str, Any]:
    members = {"Price": ("CreateItem", "price"), "StudentId": ("Login", "student_id")}
    if name in members:
        struct, member = members[name]
        found: dict[str, Any] = document["components"]["schemas"][struct]["properties"][member]
        return found
    parameters = (each for _, _, op in operations_of(document) for each in op.get("parameters", ()))
    return next(each["schema"] for each in parameters if each["name"] == name)


@every_service
def test_a_text_that_is_read_has_no_nul(documents: Any, service: str) -> None:
    """Every service refuses it in every field and parameter."""
    schemas = documents[service]["components"]["schemas"].values()
    bodies = [schema for schema in schemas if schema.get("additionalProperties") is False]
    operations = [each for path in documents[service]["paths"].values() for each in path.values()]
    queries = [each for every in operations for each in every.get("parameters", ()) if each["in"] == "query"]
    # no pattern can express the rule for names, which have a description
    free = [text for text in texts_in(bodies) if "description" not in text]
    for text in [*free, *texts_in([each["schema"] for each in queries])]:
        assert text.keys() & {"format", "enum"} or not re.search(text["pattern"], "a\0b"), text


def texts_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if value.get("type") == "string":
            yield value
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


def test_money_is_a_plain_decimal_and_ids_and_times_have_their_formats(documents: Any) -> None:
    members = documents["gateway"]["components"]["schemas"]["Order"]["properties"]
    assert members["id"]["format"] == "uuid"
    assert members["created_at"]["format"] == "date-time"
    text, nothing = members["total"]["anyOf"]
    assert nothing == {"type": "null"}
    assert re.search(text["pattern"], "12.50")
    assert not re.search(text["pattern"], "1E+2")


def test_an_event_of_a_stream_is_described(documents: Any) -> None:
    stream = documents["notification"]["paths"]["/v1/events"]["get"]["responses"]["200"]
    data = stream["content"]["text/event-stream"]["schema"]["properties"]["data"]
    assert data["contentSchema"] == {"$ref": "#/components/schemas/OrderStatusEvent"}


def test_a_replayed_answer_has_its_header_at_every_status_that_is_replayed(documents: Any) -> None:
    responses = documents["gateway"]["paths"]["/v1/orders"]["post"]["responses"]
    assert all("Idempotent-Replayed" in responses[status]["headers"] for status in ("201", "409"))
