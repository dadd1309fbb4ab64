"""The API's documentation as one HTML page, which works offline: no script, and no file from another server."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import msgspec
from litestar import MediaType, Request, Router
from litestar.enums import OpenAPIMediaType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.routes import BaseRoute
from litestar.types import ControllerRouterHandler

from cafeteria.chassis.http.openapi import SCHEMAS, published_document

_METHODS = ("get", "post", "put", "patch", "delete")
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
section{border-top:1px solid #ccc;padding:.5rem 0 1rem} h2,h3{margin:.8rem 0 .2rem} code{font-size:.92em}
table{border-collapse:collapse;margin:.4rem 0} td,th{text-align:left;padding:.15rem 1rem .15rem 0;vertical-align:top}
.method{display:inline-block;min-width:4.5rem;font-weight:700} .quiet{color:#666} a{color:#0645ad}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818} a{color:#8ab4f8} .quiet{color:#999}}
"""


class SchemaRouter(Router):
    """A router without Litestar's HTML page for unknown paths under the schema: they get a problem document."""

    def __init__(self, path: str) -> None:
        super().__init__(path, route_handlers=[], tags=["operations"])

    def register(self, value: ControllerRouterHandler) -> list[BaseRoute]:
        if isinstance(value, HTTPRouteHandler):
            if "/{path:str}" in value.paths:
                return []
            value.summary = "Describe this API"
        return super().register(value)


class SchemaJson(OpenAPIRenderPlugin):
    """Serves `openapi.json`."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type=OpenAPIMediaType.OPENAPI_JSON)
        self._rendered: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002 - Litestar's signature
        """Render at the first request and keep the bytes: the routes of an app do not change."""
        if self._rendered is None:
            self._rendered = msgspec.json.encode(published_document(request.app))
        return self._rendered


class SchemaPage(OpenAPIRenderPlugin):
    """Serves the HTML page at the root of the schema's path."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)
        self._rendered: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002 - Litestar's signature
        if self._rendered is None:
            self._rendered = render_page(published_document(request.app)).encode()
        return self._rendered


def render_page(document: Mapping[str, Any]) -> str:
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    operations = "".join(_operation(*each) for each in _operations(document))
    schemas = "".join(
        _schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f'<p>For programs: <a href="/schema/openapi.json">openapi.json</a>.</p>'
        f"{operations}<h2>Data</h2>{schemas}</body></html>"
    )


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The service's own operations first, then those that every service has."""
    for path, item in sorted(
        document.get("paths", {}).items(), key=lambda each: (not each[0].startswith("/v"), each)
    ):
        for method in _METHODS:
            if method in item:
                yield method, path, item[method]


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    access = "needs an access token" if operation.get("security") else "open to all"
    bodies = operation.get("requestBody", {}).get("content", {})
    body = "".join(f"<p>Body: {_type(each.get('schema', {}))}</p>" for each in bodies.values())
    answers = "".join(_answer(status, answer) for status, answer in sorted(operation["responses"].items()))
    return (
        f'<section><h3><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h3>'
        f"<p>{escape(operation.get('description') or operation.get('summary') or '')} "
        f'<span class="quiet">({access})</span></p>'
        f"{_parameters(operation.get('parameters', []))}{body}<table>{answers}</table></section>"
    )


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
        f"<td>{_type(each.get('schema', {}))}</td><td>{'required' if each.get('required') else ''}</td></tr>"
        for each in parameters
    )
    return f"<table>{rows}</table>" if rows else ""


def _answer(status: str, answer: Mapping[str, Any]) -> str:
    kinds = ", ".join(_type(content.get("schema", {})) for content in answer.get("content", {}).values())
    return (
        f"<tr><th>{escape(status)}</th><td>{kinds}</td><td>{escape(answer.get('description', ''))}</td></tr>"
    )


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    needed = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{_type(each)}</td>"
        f"<td>{'required' if field in needed else ''}</td></tr>"
        for field, each in schema.get("properties", {}).items()
    )
    text = escape(schema.get("description", ""))
    shape = f"<table>{rows}</table>" if rows else f"<p>{_type(schema)}</p>"
    return f'<section id="{escape(name)}"><h3>{escape(name)}</h3><p>{text}</p>{shape}</section>'


def _type(schema: Mapping[str, Any]) -> str:
    """A type in a few words, with links to named types."""
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(SCHEMAS))
        return f'<a href="#{name}">{name}</a>'
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return " or ".join(_type(each) for each in schema[key])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = schema.get("type", "anything")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    limits = [f"{key} {schema[key]}" for key in _LIMITS if key in schema]
    return escape(" ".join([words, *limits]))


_LIMITS = ("format", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern")
