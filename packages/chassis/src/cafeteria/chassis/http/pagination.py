"""The query parameters of a route that shows a list in pages: `cursor` and `limit`."""

from typing import Annotated, Any

from litestar.params import QueryParameter

from cafeteria.chassis.runtime.cursors import CURSOR_PATTERN, TEXT_CURSOR_PATTERN

DEFAULT_PAGE = 50
MAX_PAGE = 200


def cursor_parameter(pattern: str) -> Any:
    """Declare the parameter. `pattern` is only published; the code that reads the cursor validates it."""
    return QueryParameter(
        description="`next_cursor` of the page before; without it the first page is shown.",
        schema_extra={"pattern": pattern},
    )


RowCursor = Annotated[str | None, cursor_parameter(CURSOR_PATTERN)]
"""A cursor that `read_cursor` decodes."""

PageLimit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE)]
"""The number of rows on a page; its default is DEFAULT_PAGE."""

TextCursor = Annotated[str | None, cursor_parameter(TEXT_CURSOR_PATTERN)]
"""A cursor that `read_text_cursor` decodes."""
