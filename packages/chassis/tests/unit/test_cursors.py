"""A cursor leads back to its row, and any other text is refused."""

import re
from uuid import UUID

import pytest

from cafeteria.chassis.runtime.cursors import UnknownCursor, page_of, read_cursor, write_cursor

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


@pytest.mark.parametrize(
    ("rows", "page", "next_cursor"), [("", "", None), ("ab", "ab", None), ("abc", "ab", "B")]
)
def test_a_page_has_a_cursor_if_there_is_a_row_after_it(
    rows: str, page: str, next_cursor: str | None
) -> None:
    assert page_of(rows, limit=2, cursor_of=str.upper) == (tuple(page), next_cursor)


def test_following_the_cursors_shows_every_row_once() -> None:
    rows, cursor, shown = [UUID(int=number) for number in range(1, 8)], None, list[UUID]()
    for _ in range(4):
        after = read_cursor(cursor)
        found = [row for row in rows if after is None or row > after][:3]
        page, cursor = page_of(found, limit=2, cursor_of=write_cursor)
        shown += page
    assert cursor is None
    assert shown == rows
