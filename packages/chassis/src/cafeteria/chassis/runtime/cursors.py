"""Pages of a list, and their cursors: the place of the last row on a page, in characters that need no quoting in a URL.

The place is the row's id; in a list that is sorted by a text, the id and that text. Rows that come or go between two pages
then neither hide nor repeat another row. A use case takes and returns a cursor as text. It reads one row more than the page
has, and `page_of` makes the page.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from cafeteria.chassis.runtime.errors import InvalidRequest

Row = TypeVar("Row")

_CURSOR = re.compile(r"[A-Za-z0-9_-]{22}")  # 16 bytes
CURSOR_PATTERN = rf"^{_CURSOR.pattern}(?![\s\S])"
"""The cursor's pattern in the OpenAPI document."""

_ID_LENGTH = 22
_TEXT_CURSOR = re.compile(
    r"[A-Za-z0-9_-]{22}(?:[A-Za-z0-9_-]{4}){0,159}[A-Za-z0-9_-]{2,4}"
)  # up to 480 bytes of text
TEXT_CURSOR_PATTERN = rf"^{_TEXT_CURSOR.pattern}(?![\s\S])"
"""The pattern of a cursor with a text. It is the whole rule: every match is read as some place."""

Place = tuple[str, UUID]
"""A row's place in a list that is sorted by a text, then by id."""


class UnknownCursor(InvalidRequest):
    def __init__(self) -> None:
        super().__init__(
            "The cursor is not one that was given out here; leave it out to begin at the first page.",
            errors=("query.cursor: take it from next_cursor",),
        )


def page_of(
    rows: Sequence[Row], *, limit: int, cursor_of: Callable[[Row], str]
) -> tuple[tuple[Row, ...], str | None]:
    """Return the rows of a page, and the cursor of the next page: None after the last one.

    `rows` are read with a limit of `limit + 1`: the extra row only shows that there is a next page. `cursor_of` encodes
    the place of a row; the next page begins after the last row of this one.
    """
    page = tuple(rows[:limit])
    return page, cursor_of(page[-1]) if len(rows) > limit else None


def write_cursor(row_id: UUID) -> str:
    """Encode the id of a page's last row."""
    return _encode(row_id.bytes)


def read_cursor(cursor: str | None) -> UUID | None:
    """Decode a cursor to the id of the row before the page; None is the first page. Raises UnknownCursor."""
    if cursor is None:
        return None
    if not _CURSOR.fullmatch(cursor):
        raise UnknownCursor
    return UUID(bytes=_decode(cursor))


def write_text_cursor(place: Place) -> str:
    """Encode the place of a page's last row; its text has 1 to 480 bytes of UTF-8."""
    text, row_id = place
    return _encode(row_id.bytes) + _encode(text.encode())


def read_text_cursor(cursor: str | None) -> Place | None:
    """Decode a cursor to the place of the row before the page; None is the first page. Raises UnknownCursor.

    Bytes that no text has, NUL among them, are read as U+FFFD.
    """
    if cursor is None:
        return None
    if not _TEXT_CURSOR.fullmatch(cursor):
        raise UnknownCursor
    row_id, text = cursor[:_ID_LENGTH], cursor[_ID_LENGTH:]
    return _decode(text).decode(errors="replace").replace("\0", "\ufffd"), UUID(bytes=_decode(row_id))


def _encode(place: bytes) -> str:
    return urlsafe_b64encode(place).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
