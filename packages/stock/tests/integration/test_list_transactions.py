"""The ledger of an item is read in pages, newest entries first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Stock


async def test_the_ledger_is_read_page_by_page_newest_first(stock: Stock) -> None:
    haleem, jilapi = await stock.stock_up(50), await stock.stock_up(50)
    orders = [stock.order({haleem: 1 + number, jilapi: 1}) for number in range(5)]
    for order in orders:
        await stock.reserve(order)
    await stock.release(orders[2].order_id)

    pages, cursor = [], ""
    while cursor is not None:
        answer = await stock.web.get(
            f"/v1/items/{haleem}/transactions",
            params={"limit": 4, "cursor": cursor} if cursor else {"limit": 4},
        )
        pages.append(answer.json()["items"])
        cursor = answer.json()["next_cursor"]

    assert [len(page) for page in pages] == [4, 2]
    entries = [(entry["kind"], entry["quantity_deducted"]) for page in pages for entry in page]
    assert entries == [
        ("RELEASE", -3),
        ("DEDUCT", 5),
        ("DEDUCT", 4),
        ("DEDUCT", 3),
        ("DEDUCT", 2),
        ("DEDUCT", 1),
    ]
    assert {entry["item_id"] for page in pages for entry in page} == {str(haleem)}
    assert pages[0][0]["order_id"] == str(orders[2].order_id)


async def test_a_page_that_ends_with_the_ledger_has_no_next(stock: Stock) -> None:
    haleem = await stock.stock_up(50)
    await stock.reserve(stock.order({haleem: 1}))

    answer = await stock.web.get(f"/v1/items/{haleem}/transactions", params={"limit": 1})

    assert answer.json()["next_cursor"] is None


async def test_a_page_that_cannot_be_is_a_problem_of_the_client(stock: Stock) -> None:
    haleem = await stock.stock_up(1)
    impossible: list[dict[str, Any]] = [
        {"cursor": "nonsense"},
        {"cursor": "ä"},
        {"cursor": ""},
        {"limit": 0},
        {"limit": 201},
        {"limit": "all"},
    ]

    for wrong in impossible:
        stock.check_problem(await stock.web.get(f"/v1/items/{haleem}/transactions", params=wrong), wrong)
