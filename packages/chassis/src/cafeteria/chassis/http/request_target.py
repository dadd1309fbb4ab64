"""Check a request's path and query: each has one meaning, or the answer is a 400 that names the fault.

Escapes have to be whole, UTF-8 and free of NUL, which Postgres cannot store. A parameter that has one value occurs
once. Numbers are ASCII digits and truth values are `true` and `false`; Litestar by itself also accepts `1e1`, ` 5`,
`٣` and `1_0`, and uses the last of two values. Parameters that a route does not know are ignored: proxies and
browser libraries add their own.
"""

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from litestar import Request
from litestar.enums import ParamType
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.typing import FieldDefinition

from cafeteria.chassis.runtime.errors import NotUnderstood

_QUERY = "query_rules"
"""The key in a route handler's `opt`."""

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_INTEGER = r"-?(?:0|[1-9][0-9]{0,17})"
_BOOLEAN = "true|false"


def check_path(raw_path: bytes) -> None:
    """Raise NotUnderstood for a malformed path; `raw_path` is the path as it was sent."""
    if fault := _fault_of(raw_path):
        raise NotUnderstood(f"path: {fault}")


async def check_query(request: Request[Any, Any, Any]) -> None:
    """Raise NotUnderstood for a query that breaks the route's rules. A `before_request`: Litestar parses it later."""
    query: bytes = request.scope["query_string"]
    if query:
        rules: QueryRules = request.route_handler.opt[_QUERY]
        rules.check(query)


def prepare_query(handler: HTTPRouteHandler) -> None:
    """Derive the route's query rules from the parameters of its function."""
    handler.opt[_QUERY] = QueryRules(handler)


class QueryRules:
    """The rules for the query of one route."""

    def __init__(self, handler: HTTPRouteHandler) -> None:
        fields = dict(_query_fields(handler))
        self._lists = {name for name, field in fields.items() if field.is_non_string_sequence}
        self._grammars = {name: grammar for name, field in fields.items() if (grammar := _grammar_of(field))}

    def check(self, query: bytes) -> None:
        """Raise NotUnderstood for the first fault."""
        if fault := _fault_of(query):
            raise NotUnderstood(f"query: {fault}")
        seen = set()
        for name, value in parse_qsl(query.decode("ascii"), keep_blank_values=True):
            if name in seen and name not in self._lists:
                raise NotUnderstood(f"query.{name}: it occurs more than once")
            seen.add(name)
            grammar = self._grammars.get(name)
            if grammar is not None and not grammar.pattern.fullmatch(value):
                raise NotUnderstood(f"query.{name}: Expected {grammar.expected}")


class _Grammar(NamedTuple):
    pattern: re.Pattern[str]
    expected: str


def _query_fields(handler: HTTPRouteHandler) -> Iterator[tuple[str, FieldDefinition]]:
    for name, field in handler.parsed_fn_signature.parameters.items():
        declared = field.kwarg_definition
        if isinstance(declared, ParameterKwarg) and declared.param_type is ParamType.QUERY:
            yield declared.name or name, field


def _grammar_of(field: FieldDefinition) -> _Grammar | None:
    """The form of a parameter's value; None for text, which has no rule."""
    kinds = {field.annotation, *(each.annotation for each in field.inner_types)}
    if bool in kinds:
        return _Grammar(re.compile(_BOOLEAN), "`true` or `false`")
    if int in kinds:
        return _Grammar(re.compile(_INTEGER), "`int`, in plain digits")
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, Enum):
            values = [str(each.value) for each in kind]
            return _Grammar(re.compile("|".join(map(re.escape, values))), f"one of {', '.join(values)}")
    return None


def _fault_of(text: bytes) -> str | None:
    if not text.isascii():
        return "a character that is not ASCII has to be escaped"
    if b"%" not in text:
        return None
    if _BROKEN_ESCAPE.search(text):
        return "an escape is not % and two hexadecimal digits"
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return "the escaped text is not UTF-8"
    return "it has the character NUL" if "\0" in decoded else None
