"""Gateways are told what is left: everything each second, changes soon; the highest version is the newest."""

from decimal import Decimal
from typing import Any

import pytest

from cafeteria.contracts.stock import AvailabilityChanged, ItemAvailability
from cafeteria.contracts.subjects import AVAILABILITY
from cafeteria.stock import loops


@pytest.fixture
async def heard(canteen: Any) -> list[AvailabilityChanged]:
    """What a gateway hears from now on."""
    messages: list[AvailabilityChanged] = []
    await canteen.bus.subscribe(AVAILABILITY, messages.append)
    await canteen.bus.ping()
    return messages


def newest(messages: list[AvailabilityChanged], *, complete: bool) -> dict[Any, ItemAvailability]:
    found: dict[Any, ItemAvailability] = {}
    for message in messages:
        if message.complete is complete:
            for item in message.items:
                if item.item_id not in found or found[item.item_id].version <= item.version:
                    found[item.item_id] = item
    return found


async def test_everything_is_told_again_and_again(canteen: Any, heard: Any, wait_until: Any) -> None:
    haleem = await canteen.stock_up(5, name="Haleem", price="120.00")
    jilapi = await canteen.stock_up(0, name="Jilapi", price="15.00")

    for _ in range(2):
        heard.clear()
        await wait_until(lambda: set(newest(heard[-1:], complete=True)) == {haleem, jilapi})

    assert newest(heard, complete=True)[haleem] == ItemAvailability(
        item_id=haleem, name="Haleem", unit_price=Decimal("120.00"), available=5, version=1
    )


async def test_whatever_moves_an_item_is_told_with_a_higher_version(
    canteen: Any, heard: Any, wait_until: Any
) -> None:
    haleem = await canteen.stock_up(5)
    order = canteen.order({haleem: 2})
    steps = [
        (5, lambda: canteen.ledger_of(order.order_id)),
        (3, lambda: canteen.reserve(order)),
        (5, lambda: canteen.release(order.order_id)),
        (9, lambda: canteen.web.post(f"/v1/items/{haleem}/restock", json={"quantity": 4})),
        (0, lambda: canteen.change(haleem, on_sale=False)),
        (9, lambda: canteen.change(haleem, on_sale=True)),
    ]
    for version, (available, step) in enumerate(steps, start=1):
        await step()
        told = await wait_until(lambda wanted=version: of_version(heard, haleem, wanted))
        assert told.available == available


async def test_a_rush_is_told_in_few_messages(
    canteen: Any, heard: Any, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "COALESCE_S", 0.5)  # many times what an order takes, also on a slow machine
    haleem = await canteen.stock_up(500)
    for _ in range(100):
        await canteen.reserve(canteen.order({haleem: 1}))

    await wait_until(lambda: of_version(heard, haleem, 101))

    assert len([message for message in heard if not message.complete]) < 100


def of_version(messages: list[AvailabilityChanged], item_id: Any, version: int) -> Any:
    """As a change, not as part of everything."""
    changed = newest(messages, complete=False).get(item_id)
    return changed if changed is not None and changed.version == version else None
