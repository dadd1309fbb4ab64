"""The availability cache may refuse an order but never accept one."""

from decimal import Decimal
from uuid import UUID

from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.contracts.values import Line
from cafeteria.gateway.views import FRESH_FOR_S, AvailabilityView, Backlog

HALEEM, DATES, TEA = UUID(int=1), UUID(int=2), UUID(int=3)


def event_of(
    item_id: UUID, available: int, *, version: int = 1, complete: bool = False
) -> AvailabilityChanged:
    item = ItemAvailability(
        item_id=item_id,
        name=f"Dish {item_id.int}",
        unit_price=Decimal("10.00"),
        available=available,
        version=version,
    )
    return AvailabilityChanged(items=(item,), complete=complete)


def line(item_id: UUID, quantity: int = 1) -> Line:
    return Line(item_id=item_id, quantity=quantity)


def test_short_items_are_named_in_the_order_of_the_lines() -> None:
    view = AvailabilityView()
    for item, left in ((HALEEM, 0), (DATES, 5), (TEA, 1)):
        view.take(event_of(item, left), at_s=0)
    assert view.short_items([line(TEA, 2), line(DATES), line(HALEEM)], at_s=1) == (TEA, HALEEM)
    assert view.short_items([line(DATES, 5), line(TEA)], at_s=1) == ()


def test_one_line_that_is_unknown_or_old_leaves_the_whole_order_to_stock() -> None:
    view = AvailabilityView()
    view.take(event_of(HALEEM, 0), at_s=0)
    assert view.short_items([line(HALEEM)], at_s=FRESH_FOR_S) == (HALEEM,)
    assert view.short_items([line(HALEEM)], at_s=FRESH_FOR_S + 0.1) == ()
    assert view.short_items([line(HALEEM), line(DATES)], at_s=0) == ()


def test_the_same_version_renews_the_age_and_an_older_one_does_not() -> None:
    view = AvailabilityView()
    view.take(event_of(HALEEM, 0, version=5), at_s=0)
    view.take(event_of(HALEEM, 9, version=4), at_s=2)
    assert view.short_items([line(HALEEM)], at_s=2) == (HALEEM,)
    assert view.short_items([line(HALEEM)], at_s=4) == ()
    view.take(event_of(HALEEM, 0, version=5), at_s=4)
    assert view.short_items([line(HALEEM)], at_s=5) == (HALEEM,)


def test_a_higher_version_counts_at_once() -> None:
    view = AvailabilityView()
    view.take(event_of(HALEEM, 0, version=5), at_s=0)
    view.take(event_of(HALEEM, 3, version=6), at_s=0.1)
    assert view.short_items([line(HALEEM)], at_s=0.1) == ()
    assert view.short_items([line(HALEEM, 4)], at_s=0.1) == (HALEEM,)


def test_the_menu_is_sorted_by_name_and_old_entries_are_null() -> None:
    view = AvailabilityView()
    view.take(event_of(TEA, 3), at_s=0)
    view.take(event_of(HALEEM, 2), at_s=5)
    menu = view.menu(at_s=6)
    assert [(item.item_id, item.available) for item in menu.items] == [(HALEEM, 2), (TEA, None)]


def test_it_is_complete_from_the_first_complete_message_on() -> None:
    view = AvailabilityView()
    view.take(event_of(TEA, 3), at_s=0)
    assert not view.is_complete
    view.take(event_of(TEA, 3, complete=True), at_s=0)
    view.take(event_of(TEA, 2, version=2), at_s=0)
    assert view.is_complete


def test_the_backlog_is_adjusted_between_counts_and_never_below_zero() -> None:
    backlog = Backlog()
    backlog.counted(10)
    backlog.received(5)
    backlog.settled(3)
    assert backlog.pending == 12
    backlog.settled(20)
    assert backlog.pending == 0
