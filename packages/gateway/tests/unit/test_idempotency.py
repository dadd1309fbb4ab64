"""A key belongs to its student, and equal lines are the same request."""

from uuid import UUID

from cafeteria.contracts.values import Line
from cafeteria.gateway.domain import repeated_items
from cafeteria.gateway.idempotency import request_hash, stored_key

HALEEM, DATES = UUID(int=1), UUID(int=2)


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
