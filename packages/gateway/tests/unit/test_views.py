"""Memory that may refuse and never promise."""

from decimal import Decimal
from uuid import UUID

from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.contracts.values import Line
from cafeteria.gateway.views import FRESH_FOR_S, AvailabilityView, Backlog

HALEEM, DATES, TEA = UUID(int=1), UUID(int=2), UUID(int=3)


def said(item_id: UUID, available: int, *, version: int = 1, complete: bool = False) -> AvailabilityChanged:
    item = ItemAvailability(
        item_id=item_id,
        name=f"Dish {item_id.int}",
        unit_price=Decimal("10.00"),
        available=available,
        version=version,
    )
    return AvailabilityChanged(items=(item,), complete=complete)


def asked(item_id: UUID, quantity: int = 1) -> Line:
    return Line(item_id=item_id, quantity=quantity)


def test_what_is_short_is_named_in_the_order_of_the_lines() -> None:
    view = AvailabilityView()
    for item, left in ((HALEEM, 0), (DATES, 5), (TEA, 1)):
        view.take(said(item, left), at_s=0)
    assert view.short_items([asked(TEA, 2), asked(DATES), asked(HALEEM)], at_s=1) == (TEA, HALEEM)
    assert view.short_items([asked(DATES, 5), asked(TEA)], at_s=1) == ()


def test_one_line_that_is_unknown_or_old_leaves_the_whole_order_to_stock() -> None:
    view = AvailabilityView()
    view.take(said(HALEEM, 0), at_s=0)
    assert view.short_items([asked(HALEEM)], at_s=FRESH_FOR_S) == (HALEEM,)
    assert view.short_items([asked(HALEEM)], at_s=FRESH_FOR_S + 0.1) == ()
    assert view.short_items([asked(HALEEM), asked(DATES)], at_s=0) == ()


def test_the_same_version_renews_the_age_and_an_older_one_does_not() -> None:
    view = AvailabilityView()
    view.take(said(HALEEM, 0, version=5), at_s=0)
    view.take(said(HALEEM, 9, version=4), at_s=2)
    assert view.short_items([asked(HALEEM)], at_s=2) == (HALEEM,)
    assert view.short_items([asked(HALEEM)], at_s=4) == ()
    view.take(said(HALEEM, 0, version=5), at_s=4)
    assert view.short_items([asked(HALEEM)], at_s=5) == (HALEEM,)


def test_a_higher_version_counts_at_once() -> None:
    view = AvailabilityView()
    view.take(said(HALEEM, 0, version=5), at_s=0)
    view.take(said(HALEEM, 3, version=6), at_s=0.1)
    assert view.short_items([asked(HALEEM)], at_s=0.1) == ()
    assert view.short_items([asked(HALEEM, 4)], at_s=0.1) == (HALEEM,)


def test_the_menu_is_by_name_and_says_null_for_what_is_old() -> None:
    view = AvailabilityView()
    view.take(said(TEA, 3), at_s=0)
    view.take(said(HALEEM, 2), at_s=5)
    menu = view.menu(at_s=6)
    assert [(item.item_id, item.available) for item in menu.items] == [(HALEEM, 2), (TEA, None)]


def test_it_is_complete_from_the_first_complete_message_on() -> None:
    view = AvailabilityView()
    view.take(said(TEA, 3), at_s=0)
    assert not view.is_complete
    view.take(said(TEA, 3, complete=True), at_s=0)
    view.take(said(TEA, 2, version=2), at_s=0)
    assert view.is_complete


def test_the_backlog_is_kept_up_between_counts_and_never_below_zero() -> None:
    backlog = Backlog()
    backlog.counted(10)
    backlog.received(5)
    backlog.settled(3)
    assert backlog.pending == 12
    backlog.settled(20)
    assert backlog.pending == 0
