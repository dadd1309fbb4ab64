"""An answer that many readers ask for again and again: encoded once, and sent only to those who do not have it yet."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec
from litestar import MediaType, Request

from cafeteria.chassis.http.responses import BytesResponse

_encode = msgspec.json.Encoder().encode
_DIGEST_BYTES = 12


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """An encoded answer and its ETag, which changes when the content does."""

    body: bytes
    etag: str


def snapshot_of(answer: msgspec.Struct, *, except_for: Iterable[str] = ()) -> Snapshot:
    """Encode the answer. Fields named in `except_for` may change without making another content."""
    content = {field: getattr(answer, field) for field in answer.__struct_fields__ if field not in except_for}
    digest = blake2b(_encode(content), digest_size=_DIGEST_BYTES).hexdigest()
    return Snapshot(body=_encode(answer), etag=f'"{digest}"')


def unless_known(request: Request[Any, Any, Any], snapshot: Snapshot) -> BytesResponse:
    """Return the answer, or 304 without a body to a reader whose `If-None-Match` names it."""
    headers = {"ETag": snapshot.etag}
    if _names(request.headers.get("if-none-match", ""), snapshot.etag):
        return BytesResponse(b"", status=304, media_type=MediaType.JSON, headers=headers)
    return BytesResponse(snapshot.body, status=200, media_type=MediaType.JSON, headers=headers)


def _names(if_none_match: str, etag: str) -> bool:
    """A proxy that compresses marks a tag as weak; for reading that makes no difference."""
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags
