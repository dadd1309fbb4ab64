"""A cursor leads back to its row, and any other text is refused."""

import re
from uuid import UUID

import pytest

from cafeteria.chassis.runtime.cursors import (
    TEXT_CURSOR_PATTERN,
    UnknownCursor,
    page_of,
    read_cursor,
    read_text_cursor,
    write_cursor,
    write_text_cursor,
)

ROW_ID = UUID("01a20307-e5c3-739a-a447-fbffe92e32ff")


def test_a_cursor_leads_back_to_its_row() -> None:
    cursor = write_cursor(ROW_ID)
    assert cursor is not None
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert read_cursor(cursor) == ROW_ID


def test_no_cursor_is_the_first_page_and_no_further_row_is_no_cursor() -> None:
    assert read_cursor(None) is None


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


@pytest.mark.parametrize("text", ["H", "Beef haleem", "খিচুড়ি", "\U00010348" * 120])
def test_a_cursor_with_a_text_leads_back_to_its_place(text: str) -> None:
    cursor = write_text_cursor((text, ROW_ID))
    assert cursor is not None
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert read_text_cursor(cursor) == (text, ROW_ID)


def test_without_a_place_there_is_no_cursor_with_a_text() -> None:
    assert read_text_cursor(None) is None


NO_TEXT_CURSORS = {
    "empty": "",
    "too short": "nonsense",
    "not ASCII": "ä" * 30,
    "a cursor without a text": write_cursor(ROW_ID),
    "other characters": "A" * 29 + "!",
    "a length that encodes nothing": "A" * 27,
    "padding": "A" * 24 + "==",
    "longer than any text": "A" * (22 + 640 + 2),
    "a line end": f"{write_text_cursor(('a', ROW_ID))}\n",
}


@pytest.mark.parametrize("wrong", NO_TEXT_CURSORS.values(), ids=NO_TEXT_CURSORS)
def test_anything_else_is_no_cursor_with_a_text(wrong: str) -> None:
    with pytest.raises(UnknownCursor):
        read_text_cursor(wrong)


@pytest.mark.parametrize("length", range(24, 40))
@pytest.mark.parametrize("character", "A_-z9")
def test_every_match_of_the_published_pattern_is_a_place_that_postgres_can_store(
    length: int, character: str
) -> None:
    cursor = character * length
    if re.search(TEXT_CURSOR_PATTERN, cursor) is None:
        assert (
            length % 4 == 3
        )  # 22 characters are the id, and one more than whole groups of four encodes nothing
        return
    place = read_text_cursor(cursor)
    assert place is not None
    assert "\0" not in place[0]
    assert place[0].encode()
