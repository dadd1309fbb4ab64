"""The parameter that asks for a further page of a list, as a route declares it."""

from typing import Annotated, Any

from litestar.params import QueryParameter

from cafeteria.chassis.cursors import CURSOR_PATTERN


def cursor_parameter(pattern: str) -> Any:
    """`pattern` is what the published document says of the text; whether it is a cursor is for its reader to judge."""
    return QueryParameter(
        description="`next_cursor` of the page before; without it the first page is shown.",
        schema_extra={"pattern": pattern},
    )


RowCursor = Annotated[str | None, cursor_parameter(CURSOR_PATTERN)]
"""For `read_cursor`."""
