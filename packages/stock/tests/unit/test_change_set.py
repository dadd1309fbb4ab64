"""The change set gives each changed item once, in its newest state."""

import asyncio
from decimal import Decimal
from uuid import UUID

from cafeteria.stock.change_set import ChangeSet
from cafeteria.stock.domain import StoredItem


def item(number: int, *, version: int) -> StoredItem:
    return StoredItem(
        id=UUID(int=number), name="Haleem", price=Decimal(60), on_sale=True, quantity=1, version=version
    )


def test_an_item_that_changed_often_is_given_once_in_its_newest_state() -> None:
    changes = ChangeSet(asyncio.Event())
    changes.add([item(1, version=3), item(2, version=1)])
    changes.add([item(1, version=5)])
    changes.add([item(1, version=4)])

    assert {(each.id.int, each.version) for each in changes.take()} == {(1, 5), (2, 1)}
    assert changes.take() == []


def test_only_a_change_wakes_the_job() -> None:
    wake = asyncio.Event()
    changes = ChangeSet(wake)

    changes.add([])
    assert not wake.is_set()
    changes.add([item(1, version=1)])
    assert wake.is_set()
