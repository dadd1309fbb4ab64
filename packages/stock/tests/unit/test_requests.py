"""What no order and no item can look like is refused before it reaches a batch."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from cafeteria.contracts.stock import ReserveStock
from cafeteria.contracts.values import Line
from cafeteria.stock.domain import check_name, check_order, check_price
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
        check_order(
            ReserveStock(order_id=UUID(int=1), lines=lines, expires_at=datetime(2026, 3, 1, tzinfo=UTC))
        )


@pytest.mark.parametrize(
    ("price", "kept"),
    [
        ("0", "0.00"),
        ("-0", "0.00"),
        ("60", "60.00"),
        ("60.5", "60.50"),
        ("1.500", "1.50"),
        ("1E+2", "100.00"),
        ("99999999.99", "99999999.99"),
    ],
)
def test_a_price_is_kept_to_the_cent(price: str, kept: str) -> None:
    assert str(check_price(Decimal(price))) == kept


@pytest.mark.parametrize(
    "price",
    ["-0.01", "0.001", "99999999.995", "100000000", "NaN", "sNaN", "Infinity", "-Infinity", "1E+999999"],
)
def test_what_is_no_price_is_refused(price: str) -> None:
    with pytest.raises(ImpossibleItem):
        check_price(Decimal(price))


def test_a_name_loses_the_blanks_around_it() -> None:
    assert check_name("  Beef haleem ") == "Beef haleem"
    assert check_name("জিলাপি") == "জিলাপি"


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "two\nlines"])
def test_a_name_that_nobody_can_read_is_refused(name: str) -> None:
    with pytest.raises(ImpossibleItem):
        check_name(name)
