"""Serves the API's description at `/schema` and `/schema/openapi.json`: the same JSON document, and no HTML page."""

from typing import Any

import msgspec
from litestar import Request, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.routes import BaseRoute
from litestar.types import ControllerRouterHandler

from cafeteria.chassis.http.openapi import published_document


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


class SchemaJson(JsonRenderPlugin):
    """Renders the published document in place of Litestar's own. As the only plugin it serves the router's root too."""

    def __init__(self) -> None:
        super().__init__()
        self._rendered: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002 - Litestar's signature
        """Render at the first request and keep the bytes: the routes of an app do not change."""
        if self._rendered is None:
            self._rendered = msgspec.json.encode(published_document(request.app))
        return self._rendered
