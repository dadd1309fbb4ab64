"""Work becomes a ticket once, is cooked by itself, and the world hears of each step with the whole path before it."""

from typing import Any


async def test_an_order_is_cooked_and_each_step_is_told_with_the_path_before_it(open_kitchen: Any) -> None:
    kitchen = await open_kitchen()
    [order] = await kitchen.gateway.place_some(1)

    news = await kitchen.hear(order, count=2)

    assert [(each.status, each.version) for each in news] == [("IN_KITCHEN", 3), ("READY", 4)]
    assert [step.status for step in news[1].earlier] == ["PENDING", "STOCK_VERIFIED", "IN_KITCHEN"]
    assert news[1].earlier[:2] == order.earlier
    assert await kitchen.books.history_of(order) == ["IN_KITCHEN", "READY"]
