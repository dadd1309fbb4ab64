"""Availability is published: all items each second, changes soon; the highest version is the newest."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.contracts.subjects import AVAILABILITY
from cafeteria.stock.use_cases import publish_availability
from cafeteria.testkit.plugin import until

if TYPE_CHECKING:
    from conftest import Stock


@pytest.fixture
async def received(stock: Stock) -> list[AvailabilityChanged]:
    """The availability messages that a gateway receives from now on."""
    messages: list[AvailabilityChanged] = []
    await stock.bus.subscribe(AVAILABILITY, messages.append)
    await stock.bus.ping()
    return messages


def newest(messages: list[AvailabilityChanged], *, complete: bool) -> dict[UUID, ItemAvailability]:
    found: dict[UUID, ItemAvailability] = {}
    for message in messages:
        if message.complete is complete:
            for item in message.items:
                if item.item_id not in found or found[item.item_id].version <= item.version:
                    found[item.item_id] = item
    return found


async def test_all_items_are_published_again_and_again(
    stock: Stock, received: list[AvailabilityChanged]
) -> None:
    haleem = await stock.stock_up(5, name="Haleem", price="120.00")
    jilapi = await stock.stock_up(0, name="Jilapi", price="15.00")

    for _ in range(2):
        received.clear()
        await until(lambda: set(newest(received[-1:], complete=True)) == {haleem, jilapi})

    assert newest(received, complete=True)[haleem] == ItemAvailability(
        item_id=haleem, name="Haleem", unit_price=Decimal("120.00"), available=5, version=1
    )


async def test_every_change_of_an_item_is_published_with_a_higher_version(
    stock: Stock, received: list[AvailabilityChanged]
) -> None:
    haleem = await stock.stock_up(5)
    order = stock.order({haleem: 2})
    steps = [
        (5, lambda: stock.ledger_of(order.order_id)),
        (3, lambda: stock.reserve(order)),
        (5, lambda: stock.release(order.order_id)),
        (9, lambda: stock.web.post(f"/v1/items/{haleem}/restock", json={"quantity": 4})),
        (0, lambda: stock.change(haleem, on_sale=False)),
        (9, lambda: stock.change(haleem, on_sale=True)),
    ]
    for version, (available, step) in enumerate(steps, start=1):
        await step()
        changed = await until(partial(of_version, received, haleem, version))
        assert changed.available == available


async def test_many_changes_are_published_in_few_messages(
    stock: Stock, received: list[AvailabilityChanged], monkeypatch: pytest.MonkeyPatch
) -> None:
    # many times what an order takes, also on a slow machine
    monkeypatch.setattr(publish_availability, "COALESCE_S", 0.5)
    haleem = await stock.stock_up(500)
    for _ in range(100):
        await stock.reserve(stock.order({haleem: 1}))

    await until(lambda: of_version(received, haleem, 101))

    assert len([message for message in received if not message.complete]) < 100


def of_version(messages: list[AvailabilityChanged], item_id: UUID, version: int) -> ItemAvailability | None:
    """Return the item as of this version from a message with changes, not from a complete one."""
    changed = newest(messages, complete=False).get(item_id)
    return changed if changed is not None and changed.version == version else None
