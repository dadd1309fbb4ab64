"""Each changed item is told once, in its newest state."""

from decimal import Decimal
from uuid import UUID

from cafeteria.stock.domain import StoredItem
from cafeteria.stock.views import ChangedItems


def item(number: int, *, version: int) -> StoredItem:
    return StoredItem(
        id=UUID(int=number), name="Haleem", price=Decimal(60), on_sale=True, quantity=1, version=version
    )


def test_an_item_that_changed_often_is_told_once_in_its_newest_state() -> None:
    changed = ChangedItems()
    changed.note([item(1, version=3), item(2, version=1)])
    changed.note([item(1, version=5)])
    changed.note([item(1, version=4)])

    assert {(each.id.int, each.version) for each in changed.take()} == {(1, 5), (2, 1)}
    assert changed.take() == []


def test_somebody_is_woken_by_a_change_and_by_nothing_else() -> None:
    woken: list[bool] = []
    changed = ChangedItems()
    changed.when_noted = lambda: woken.append(True)

    changed.note([])
    assert not woken
    changed.note([item(1, version=1)])
    assert woken
