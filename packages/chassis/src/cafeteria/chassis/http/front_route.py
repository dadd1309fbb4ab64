"""The route `/`: a person who opens a service's own address in a browser is led on, to the pages or to the API's description."""

from collections.abc import Sequence

from litestar import MediaType, Response, get
from litestar.datastructures import ResponseHeader
from litestar.handlers import HTTPRouteHandler

from cafeteria.chassis.http.responses import BytesResponse

_LOCATION = ResponseHeader(name="Location", description="Where to go.", documentation_only=True)


def front_routes(*, pages_url: str | None, has_schema: bool) -> Sequence[HTTPRouteHandler]:
    """The route, or none where there is nowhere to lead to. `has_schema`: this listener serves `/schema`."""
    target = pages_url or ("/schema" if has_schema else None)
    return [_leading_to(target)] if target else []


def _leading_to(target: str) -> HTTPRouteHandler:
    @get(
        "/",
        status_code=303,
        media_type=MediaType.TEXT,
        sync_to_thread=False,
        response_headers=[_LOCATION],
        summary="Lead on to the pages, or to this description",
        tags=["operations"],
    )
    def lead_on() -> Response[bytes]:
        return BytesResponse(b"", status=303, media_type=MediaType.TEXT, headers={"Location": target})

    return lead_on
