"""The availability cache may refuse an order but never accept one."""

from decimal import Decimal
from uuid import UUID

import pytest

from cafeteria.chassis.runtime.errors import Unavailable
from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.contracts.values import Line
from cafeteria.gateway import availability_cache
from cafeteria.gateway.availability_cache import FRESH_FOR_S, MENU_AWAITED_S, AvailabilityCache

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
    cache = AvailabilityCache()
    for item, left in ((HALEEM, 0), (DATES, 5), (TEA, 1)):
        cache.update(event_of(item, left), at_s=0)
    assert cache.short_items([line(TEA, 2), line(DATES), line(HALEEM)], at_s=1) == (TEA, HALEEM)
    assert cache.short_items([line(DATES, 5), line(TEA)], at_s=1) == ()


def test_one_line_that_is_unknown_or_old_leaves_the_whole_order_to_stock() -> None:
    cache = AvailabilityCache()
    cache.update(event_of(HALEEM, 0), at_s=0)
    assert cache.short_items([line(HALEEM)], at_s=FRESH_FOR_S) == (HALEEM,)
    assert cache.short_items([line(HALEEM)], at_s=FRESH_FOR_S + 0.1) == ()
    assert cache.short_items([line(HALEEM), line(DATES)], at_s=0) == ()


def test_the_same_version_renews_the_age_and_an_older_one_does_not() -> None:
    cache = AvailabilityCache()
    cache.update(event_of(HALEEM, 0, version=5), at_s=0)
    cache.update(event_of(HALEEM, 9, version=4), at_s=2)
    assert cache.short_items([line(HALEEM)], at_s=2) == (HALEEM,)
    assert cache.short_items([line(HALEEM)], at_s=4) == ()
    cache.update(event_of(HALEEM, 0, version=5), at_s=4)
    assert cache.short_items([line(HALEEM)], at_s=5) == (HALEEM,)


def test_a_higher_version_counts_at_once() -> None:
    cache = AvailabilityCache()
    cache.update(event_of(HALEEM, 0, version=5), at_s=0)
    cache.update(event_of(HALEEM, 3, version=6), at_s=0.1)
    assert cache.short_items([line(HALEEM)], at_s=0.1) == ()
    assert cache.short_items([line(HALEEM, 4)], at_s=0.1) == (HALEEM,)


def test_the_menu_is_sorted_by_name_and_old_entries_are_null() -> None:
    cache = AvailabilityCache()
    cache.update(event_of(TEA, 3), at_s=0)
    cache.update(event_of(HALEEM, 2), at_s=5)
    menu = cache.menu(at_s=6)
    assert [(item.item_id, item.available) for item in menu.items] == [(HALEEM, 2), (TEA, None)]


def test_it_is_complete_from_the_first_complete_message_on() -> None:
    cache = AvailabilityCache()
    cache.update(event_of(TEA, 3), at_s=0)
    assert not cache.is_complete
    cache.update(event_of(TEA, 3, complete=True), at_s=0)
    cache.update(event_of(TEA, 2, version=2), at_s=0)
    assert cache.is_complete


async def test_it_is_unready_until_it_is_complete_or_five_seconds_after_it_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 1000.0
    monkeypatch.setattr(availability_cache, "monotonic", lambda: now_s)
    cache = AvailabilityCache()
    with pytest.raises(Unavailable):
        await cache.check()
    now_s += 60  # an app may be built long before it starts
    async with cache:
        with pytest.raises(Unavailable):
            await cache.check()
        now_s += MENU_AWAITED_S
        await cache.check()
    async with AvailabilityCache() as other:
        other.update(event_of(TEA, 3, complete=True), at_s=now_s)
        await other.check()
