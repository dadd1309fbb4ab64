"""What counts as an idempotency key, and what counts as the same request."""

from uuid import UUID

import pytest

from cafeteria.contracts.values import Line
from cafeteria.gateway.domain import repeated_items
from cafeteria.gateway.errors import IdempotencyKeyMissing
from cafeteria.gateway.idempotency import parse_idempotency_key, request_hash, stored_key

HALEEM, DATES = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("k", "k"),
        ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ('"8e03978e"', "8e03978e"),
        ("  k  ", "k"),
        ("!~", "!~"),
        ('in"side', 'in"side'),
        (r'"with \"quotes\" and \\"'.replace(" ", "_"), r'with_"quotes"_and_' + "\\"),
        ("x" * 255, "x" * 255),
        (f'"{"x" * 255}"', "x" * 255),
    ],
)
def test_a_key_is_taken_bare_or_quoted(header: str, key: str) -> None:
    assert parse_idempotency_key(header) == key


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "   ",
        '""',
        '"',
        '"k',
        '"k"x',
        "two words",
        '"two words"',
        "x" * 256,
        f'"{"x" * 256}"',
        "clé",
        "tab\tbed",
        "nul\0",
        '"back\\slash"',
    ],
)
def test_what_is_not_1_to_255_visible_ascii_characters_is_refused(header: str | None) -> None:
    with pytest.raises(IdempotencyKeyMissing):
        parse_idempotency_key(header)


def test_a_key_is_stored_as_the_students_own() -> None:
    assert stored_key("210041101", "k") == "210041101:k"
    assert stored_key("210041101", "k") != stored_key("210041102", "k")


def test_the_hash_covers_items_and_quantities_and_not_the_order_of_lines() -> None:
    one, two = Line(item_id=HALEEM, quantity=1), Line(item_id=DATES, quantity=2)
    assert request_hash((one, two)) == request_hash((two, one))
    assert len(request_hash((one,))) == 32
    others = [(one,), (two,), (Line(item_id=HALEEM, quantity=2), Line(item_id=DATES, quantity=1))]
    assert len({request_hash((one, two)), *map(request_hash, others)}) == 4


def test_items_in_more_than_one_line_are_named_once() -> None:
    line = Line(item_id=HALEEM, quantity=1)
    assert repeated_items((line, Line(item_id=DATES, quantity=1))) == ()
    assert repeated_items((line, line, Line(item_id=DATES, quantity=1), line)) == (HALEEM,)
