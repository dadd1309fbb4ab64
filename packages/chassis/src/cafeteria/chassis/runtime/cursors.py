"""Page cursors: the id of the last row on a page, in characters that need no quoting in a URL."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from cafeteria.chassis.runtime.errors import InvalidRequest

_CURSOR = re.compile(r"[A-Za-z0-9_-]{22}")  # 16 bytes
CURSOR_PATTERN = rf"^{_CURSOR.pattern}(?![\s\S])"
"""The cursor's pattern in the OpenAPI document."""


class UnknownCursor(InvalidRequest):
    def __init__(self) -> None:
        super().__init__(
            "The cursor is not one that was given out here; leave it out to begin at the first page.",
            errors=("query.cursor: take it from next_cursor",),
        )


def write_cursor(row_id: UUID | None) -> str | None:
    """Encode the last row's id. None, for no further page, stays None."""
    return None if row_id is None else urlsafe_b64encode(row_id.bytes).rstrip(b"=").decode()


def read_cursor(cursor: str | None) -> UUID | None:
    """Decode a cursor to the id of the row before the page; None is the first page. Raises UnknownCursor."""
    if cursor is None:
        return None
    if not _CURSOR.fullmatch(cursor):
        raise UnknownCursor
    return UUID(bytes=urlsafe_b64decode(f"{cursor}=="))
