"""A cursor leads back to its row, and any other text is refused."""

import re
from uuid import UUID

import pytest

from cafeteria.chassis.runtime.cursors import UnknownCursor, read_cursor, write_cursor

ROW_ID = UUID("01a20307-e5c3-739a-a447-fbffe92e32ff")


def test_a_cursor_leads_back_to_its_row() -> None:
    cursor = write_cursor(ROW_ID)
    assert cursor is not None
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert read_cursor(cursor) == ROW_ID


def test_no_cursor_is_the_first_page_and_no_further_row_is_no_cursor() -> None:
    assert read_cursor(None) is None
    assert write_cursor(None) is None


@pytest.mark.parametrize("wrong", ["", "nonsense", "ä", "a b", "=", "A" * 21, "A" * 23, "A" * 21 + "!"])
def test_any_other_text_is_refused(wrong: str) -> None:
    with pytest.raises(UnknownCursor):
        read_cursor(wrong)
