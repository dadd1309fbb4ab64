"""Requests are read into one form; impossible orders and items are refused before they reach a batch."""

from uuid import UUID

import pytest

from cafeteria.contracts.stock import ReserveStock
from cafeteria.contracts.values import Line
from cafeteria.stock.domain import check_order, read_name, read_price, read_search
from cafeteria.stock.errors import ImpossibleItem, ImpossibleOrder


@pytest.mark.parametrize(
    "item_numbers",
    [
        pytest.param([], id="no lines"),
        pytest.param([1, 2, 1], id="an item twice"),
        pytest.param(range(21), id="more lines than an order has"),
    ],
)
def test_an_impossible_order_is_refused(item_numbers: list[int]) -> None:
    lines = tuple(Line(item_id=UUID(int=number), quantity=1) for number in item_numbers)

    with pytest.raises(ImpossibleOrder):
        check_order(ReserveStock(order_id=UUID(int=1), lines=lines, age_ms=0))


@pytest.mark.parametrize(
    ("price", "kept"),
    [("0", "0.00"), ("60", "60.00"), ("60.5", "60.50"), ("060", "60.00"), ("99999999.99", "99999999.99")],
)
def test_a_price_is_kept_to_the_cent(price: str, kept: str) -> None:
    assert str(read_price(price)) == kept


def test_a_name_is_kept_in_one_spelling() -> None:
    assert read_name("  Beef \u00a0haleem ") == "Beef haleem"
    assert read_name("\u09af\u09bc") == read_name("\u09df")


def test_a_name_that_nobody_can_read_is_refused_with_what_is_wrong_in_it() -> None:
    with pytest.raises(ImpossibleItem) as refusal:
        read_name("Beef\u202emeelah")
    [fault] = refusal.value.errors
    assert fault.startswith("body.name: it has U+202E RIGHT-TO-LEFT OVERRIDE")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ""),
        (" \u3000", ""),
        ("  Beef \u00a0haleem ", "Beef haleem"),
        ("Cre\u0300me", "Cr\u00e8me"),
        ("100%_\\", "100%_\\"),
    ],
)
def test_a_search_is_read_in_the_form_of_a_stored_name(text: str, wanted: str) -> None:
    assert read_search(text) == wanted
