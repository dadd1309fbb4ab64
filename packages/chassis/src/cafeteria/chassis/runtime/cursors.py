"""Pages of a list, and their cursors: the id of the last row on a page, in characters that need no quoting in a URL.

A use case takes and returns a cursor as text. It reads one row more than the page has, and `page_of` makes the page.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TypeVar, overload
from uuid import UUID

from cafeteria.chassis.runtime.errors import InvalidRequest

Row = TypeVar("Row")

_CURSOR = re.compile(r"[A-Za-z0-9_-]{22}")  # 16 bytes
CURSOR_PATTERN = rf"^{_CURSOR.pattern}(?![\s\S])"
"""The cursor's pattern in the OpenAPI document."""


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


@overload
def write_cursor(row_id: UUID) -> str: ...
@overload
def write_cursor(row_id: None) -> None: ...
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
