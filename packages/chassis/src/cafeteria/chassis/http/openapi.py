"""Derive the published OpenAPI document from the declarations in the code, so that it matches the behaviour.

Litestar provides paths and parameters. Data schemas come from msgspec, which also decodes the data; refusals from a
route's declarations: its guard, its body, its path, and the errors that it names with `refusals`.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any, Protocol, runtime_checkable

import msgspec
from litestar import Litestar
from litestar.constants import RESERVED_KWARGS
from litestar.datastructures import ResponseHeader
from litestar.enums import OpenAPIMediaType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

from cafeteria.chassis.http.problem_details import PROBLEM_JSON, TooLarge, UnsupportedMediaType
from cafeteria.chassis.runtime.errors import (
    InvalidRequest,
    NotFound,
    ServiceError,
    Unavailable,
)
from cafeteria.contracts.problems import Problem

EVENT_STREAM = "text/event-stream"
OPENAPI_JSON = OpenAPIMediaType.OPENAPI_JSON.value
SCHEMAS = "#/components/schemas/"

PLAIN_DECIMAL = r"^-?[0-9]+(\.[0-9]+)?(?![\s\S])"
"""The form of amounts: no exponent, no sign but a minus, nothing after the digits, not even a line end."""

WITHOUT_NUL = r"^[^\u0000]*(?![\s\S])"
"""The pattern of every text in a request's body: Postgres stores no NUL."""

_NOT_OF_THE_CLIENT = RESERVED_KWARGS - {"data"}
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

_MEANINGS: Mapping[int, str] = {
    400: "The request was not understood, and nothing was done; `errors` names what is wrong.",
    401: "No access token was sent, or it was not accepted.",
    403: "The token's role, or the page that sent the cookie, may not do this.",
    404: "Nothing is found at this address.",
    413: "The body is larger than this address accepts; nothing was done.",
    415: "The body is declared as something else than JSON; nothing was done.",
    503: "The service, or what it needs, cannot answer just now; try again shortly.",
}
_HEADERS: Mapping[int, tuple[str, str]] = {
    401: ("WWW-Authenticate", "How to sign in."),
    429: ("Retry-After", "After so many seconds the request may be sent again."),
    503: ("Retry-After", "After so many seconds the request may be sent again."),
}
REPLAYED_HEADER = ResponseHeader(
    name="Idempotent-Replayed",
    description="`true` on an answer that was given before under this Idempotency-Key; absent otherwise.",
    documentation_only=True,
)
"""For the `response_headers` of a route that replays answers."""

_ANY_OTHER: Mapping[str, Any] = {
    "description": "Any other error, as a problem document; a 405 names the methods of this address.",
    "headers": {"Allow": {"description": "Where the method is not allowed.", "schema": {"type": "string"}}},
    "content": {PROBLEM_JSON: {"schema": {"$ref": SCHEMAS + Problem.__name__}}},
}


def refusals(*errors: type[ServiceError]) -> dict[int, ResponseSpec]:
    """For a route's `responses`: errors beside those that follow from its guard, body and path."""
    titles: dict[int, list[str]] = {}
    for error in errors:
        titles.setdefault(error.status, []).append(error.title)
    return {
        status: ResponseSpec(Problem, description=f"{'; '.join(each)}.", media_type=PROBLEM_JSON)
        for status, each in titles.items()
    }


def published_document(app: Litestar) -> dict[str, Any]:
    """The whole document of a service, as decoded from JSON; each call builds a new one."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    operations = list(_operations(app, document))
    types = {kind for handler, _, _ in operations for kind in _types_of(handler)}
    document["components"]["schemas"] = _schemas(types)
    for handler, method, operation in operations:
        _complete(handler, method, operation)
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return read


def _operations(
    app: Litestar, document: Mapping[str, Any]
) -> Iterator[tuple[HTTPRouteHandler, str, dict[str, Any]]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            operations = document["paths"].get(route.path_format or "/", {})
            for method, (handler, _) in route.route_handler_map.items():
                if handler.resolve_include_in_schema() and method.lower() in operations:
                    yield handler, method, operations[method.lower()]


def _types_of(handler: HTTPRouteHandler) -> Iterator[type]:
    """Every struct and enumeration of the handler's parameters, body and answers."""
    declared = [spec.data_container for spec in (handler.responses or {}).values() if spec.data_container]
    parameters = handler.parsed_fn_signature.parameters
    fields = [
        *(parameters[name] for name in parameters.keys() - _NOT_OF_THE_CLIENT),
        handler.parsed_return_field,
        *map(FieldDefinition.from_annotation, declared),
    ]
    while fields:
        field = fields.pop()
        fields.extend(field.inner_types)
        if isinstance(field.annotation, type) and issubclass(field.annotation, (msgspec.Struct, Enum)):
            yield field.annotation


def _schemas(types: set[type]) -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components({*types, Problem}, ref_template=SCHEMAS + "{name}")
    for schema in schemas.values():
        _spell_out_text(schema, is_read=schema.get("additionalProperties") is False)
    return dict(sorted(schemas.items()))


def _spell_out_text(schema: Any, *, is_read: bool) -> None:
    """Add patterns to decimals, whose format alone binds no reader, and to texts of requests, which have no NUL.

    A text with a description, as a name has, follows a rule that no pattern can express.
    """
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            schema.setdefault("pattern", PLAIN_DECIMAL)
        elif is_read and "description" not in schema:
            _refuse_nul(schema)
        for inner in schema.values():
            _spell_out_text(inner, is_read=is_read)
    elif isinstance(schema, list):
        for inner in schema:
            _spell_out_text(inner, is_read=is_read)


def _refuse_nul(schema: dict[str, Any]) -> None:
    if schema.get("type") == "string" and not schema.keys() & {"format", "enum"}:
        schema.setdefault("pattern", WITHOUT_NUL)


def _complete(handler: HTTPRouteHandler, method: str, operation: dict[str, Any]) -> None:
    operation.setdefault("security", [])
    if not handler.summary:
        operation["summary"] = handler.handler_name.replace("_", " ").capitalize()
    for parameter in operation.get("parameters", ()):
        _drop_null(parameter)
        if parameter["in"] == "query":
            _refuse_nul(parameter["schema"])
    if handler.parsed_data_field is not None:
        operation["requestBody"]["required"] = handler.parsed_data_field.is_required
    responses = operation["responses"]
    declared = {str(handler.status_code), *map(str, handler.responses or ())}
    for derived in _statuses(handler, method):
        if str(derived) not in declared:
            responses[str(derived)] = {"description": _MEANINGS[derived]}
    for status in declared:
        responses[status]["headers"] = _declared_headers(handler)
    for status, response in responses.items():
        _complete_answer(int(status), response)
    operation["responses"] = {**dict(sorted(responses.items())), "default": _ANY_OTHER}


def _drop_null(parameter: dict[str, Any]) -> None:
    """Drop null from an optional parameter: an address or a header has no null, the parameter is absent."""
    kinds = parameter["schema"].get("oneOf", ())
    kept = [kind for kind in kinds if kind != {"type": "null"}]
    if len(kept) == 1:
        others = {key: value for key, value in parameter["schema"].items() if key != "oneOf"}
        parameter["schema"] = {**kept[0], **others}


@runtime_checkable
class Refuses(Protocol):
    """A route's `before_request` that may refuse a request."""

    def refused_statuses(self, method: str) -> Iterable[int]:
        """Return the statuses of its refusals."""


def _statuses(handler: HTTPRouteHandler, method: str) -> Iterator[int]:
    """The error statuses that follow from a route's declarations."""
    yield InvalidRequest.status
    yield Unavailable.status
    before_request = handler.resolve_before_request()
    if isinstance(before_request, Refuses):
        yield from before_request.refused_statuses(method)
    if any("{" in path for path in handler.paths):
        yield NotFound.status
    if method in _METHODS_WITH_BODY:
        yield UnsupportedMediaType.status
    if handler.parsed_data_field is not None:
        yield TooLarge.status


def _complete_answer(status: int, response: dict[str, Any]) -> None:
    content = response.setdefault("content", {})
    if status >= InvalidRequest.status:
        if status in _HEADERS and not content.keys() - {PROBLEM_JSON}:
            name, meaning = _HEADERS[status]
            header = {"description": meaning, "required": True, "schema": {"type": "string"}}
            response.setdefault("headers", {})[name] = header
        content[PROBLEM_JSON] = {"schema": {"$ref": SCHEMAS + Problem.__name__}}
    if EVENT_STREAM in content:
        content[EVENT_STREAM] = {"schema": _event(content[EVENT_STREAM]["schema"])}
    if OPENAPI_JSON in content:
        content[OPENAPI_JSON] = {"schema": {"type": "object"}}
    if status == HTTPStatus.NO_CONTENT:
        content.clear()
    for part in ("content", "headers"):
        if not response.get(part):
            response.pop(part, None)


def _event(data: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of one event: OpenAPI 3.1 has no streams, so readers apply a stream's schema to each event."""
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "One event of the stream; `data` is a JSON text.",
        "properties": {
            "id": text,
            "event": text,
            "data": {**text, "contentMediaType": "application/json", "contentSchema": data},
        },
    }


def _declared_headers(handler: HTTPRouteHandler) -> dict[str, Any]:
    """The headers of every answer that the route declares, not only of the success."""
    return {
        header.name: {
            "description": header.description or "As defined by HTTP.",
            "schema": {"type": "string"},
        }
        for header in handler.resolve_response_headers()
    }
