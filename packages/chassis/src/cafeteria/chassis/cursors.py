"""Where the next page of a list begins: the id of the last row shown, in characters that need no quoting in a URL."""

from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from uuid import UUID

from cafeteria.chassis.errors import InvalidRequest


class UnknownCursor(InvalidRequest):
    def __init__(self) -> None:
        super().__init__(
            "The cursor is not one that was given out here; leave it out to begin at the first page.",
            errors=("query.cursor: take it from next_cursor",),
        )


def write_cursor(row_id: UUID | None) -> str | None:
    """None stays None: there is no further page."""
    return None if row_id is None else urlsafe_b64encode(row_id.bytes).rstrip(b"=").decode()


def read_cursor(cursor: str | None) -> UUID | None:
    """None is the first page. Raises UnknownCursor."""
    if cursor is None:
        return None
    try:
        return UUID(bytes=b64decode(f"{cursor}==", altchars=b"-_", validate=True))
    except (Base64Error, ValueError):
        raise UnknownCursor from None
