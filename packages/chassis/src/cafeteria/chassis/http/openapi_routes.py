"""Serves the API's description at `/schema` and `/schema/openapi.json`: the same JSON document, and no HTML page."""

from collections.abc import Callable
from functools import cache

import msgspec
from litestar import Litestar, Response, Router, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute
from litestar.types import ControllerRouterHandler

from cafeteria.chassis.http.openapi import OPENAPI_JSON, published_document
from cafeteria.chassis.http.responses import BytesResponse


class UnservedRoutes(Router):
    """Takes Litestar's own routes of the schema and serves none: one is an HTML page for unknown addresses."""

    def __init__(self) -> None:
        super().__init__("/schema", route_handlers=[])

    def register(self, value: ControllerRouterHandler) -> list[BaseRoute]:  # noqa: ARG002 - Litestar's signature
        return []


def schema_route(described: Callable[[], Litestar]) -> HTTPRouteHandler:
    """The route that describes the app of `described`, which is called at the first request."""

    @cache  # the routes of an app do not change
    def document() -> bytes:
        return msgspec.json.encode(published_document(described()))

    @get(
        ["/schema", "/schema/openapi.json"],
        media_type=OPENAPI_JSON,
        sync_to_thread=False,
        summary="Describe this API",
        tags=["operations"],
    )
    def describe_api() -> Response[bytes]:
        return BytesResponse(document(), status=200, media_type=OPENAPI_JSON)

    return describe_api
