"""Operators create, change and restock items; nobody else may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Stock


NEW_ITEM = {"name": "Beef haleem", "price": "120.50", "quantity": 40}


async def test_a_new_item_has_its_quantity_as_first_restock(stock: Stock) -> None:
    made = await stock.web.post("/v1/items", json=NEW_ITEM)

    assert made.status_code == 201
    item = made.json()
    assert item == {
        "id": item["id"],
        "name": "Beef haleem",
        "price": "120.50",
        "on_sale": True,
        "quantity": 40,
        "version": 1,
        "available": 40,
    }
    assert (await stock.web.get("/v1/items")).json()["items"] == [item]
    [restocked] = await stock.admin.fetch("SELECT quantity, actor FROM stock.restocks")
    assert tuple(restocked) == (40, "operator-1")
    await stock.check_balance()


IMPOSSIBLE_ITEMS: list[dict[str, Any]] = [
    {"price": "cheap"},
    {"name": "x" * 121},
    {"quantity": -1},
    {"quantity": 1_000_001},
    {"quantity": 1.5},
    {"colour": "green"},
]


async def test_an_impossible_item_is_a_problem_of_the_client(stock: Stock) -> None:
    for wrong in IMPOSSIBLE_ITEMS:
        stock.check_problem(await stock.web.post("/v1/items", json={**NEW_ITEM, **wrong}), wrong)

    assert (await stock.web.get("/v1/items")).json()["items"] == []


async def test_taking_an_item_off_sale_twice_changes_it_once_and_leaves_the_quantity(
    stock: Stock, tokens: Tokens
) -> None:
    haleem = await stock.stock_up(7)
    kitchen = tokens.header(tokens.kitchen())

    answers = [
        (await stock.web.post(f"/v1/items/{haleem}/{switch}", headers=kitchen)).json()
        for switch in ("on", "off", "off", "on", "on")
    ]

    assert [(each["on_sale"], each["available"], each["version"]) for each in answers] == [
        (True, 7, 1),
        (False, 0, 2),
        (False, 0, 2),
        (True, 7, 3),
        (True, 7, 3),
    ]
    assert {each["quantity"] for each in answers} == {7}
    missing = await stock.web.post(f"/v1/items/{uuid4()}/off", headers=kitchen)
    assert missing.status_code == 404
    await stock.check_balance()


async def test_a_change_raises_the_version_and_leaves_the_quantity(stock: Stock) -> None:
    haleem = await stock.stock_up(7)

    renamed = await stock.change(haleem, name="Mutton haleem", price="150.00")
    off_sale = await stock.change(haleem, on_sale=False)
    untouched = await stock.change(haleem)

    assert (renamed["name"], renamed["price"], renamed["version"]) == ("Mutton haleem", "150.00", 2)
    assert (off_sale["quantity"], off_sale["available"], off_sale["version"]) == (7, 0, 3)
    assert {**off_sale, "version": 4} == untouched
    await stock.check_balance()


async def test_an_impossible_change_changes_nothing(stock: Stock) -> None:
    haleem = await stock.stock_up(7)
    impossible: list[dict[str, Any]] = [{"price": "1.005"}, {"quantity": 5}, {"on_sale": "no"}]

    for wrong in impossible:
        stock.check_problem(await stock.web.patch(f"/v1/items/{haleem}", json=wrong), wrong)

    assert (await stock.web.get("/v1/items")).json()["items"][0]["version"] == 1


async def test_a_restock_adds_portions_and_records_the_operator(stock: Stock, tokens: Tokens) -> None:
    haleem = await stock.stock_up(7)

    answer = await stock.web.post(
        f"/v1/items/{haleem}/restock",
        json={"quantity": 5},
        headers=tokens.header(tokens.operator("operator-2")),
    )

    assert answer.status_code == 200
    assert (answer.json()["quantity"], answer.json()["version"]) == (12, 2)
    rows = await stock.admin.fetch("SELECT quantity, actor FROM stock.restocks ORDER BY id")
    assert [tuple(row) for row in rows] == [(7, "operator-1"), (5, "operator-2")]
    await stock.check_balance()


async def test_an_impossible_restock_adds_nothing(stock: Stock) -> None:
    haleem = await stock.stock_up(7)

    for quantity in (0, -3, 1_000_001, "many"):
        answer = await stock.web.post(f"/v1/items/{haleem}/restock", json={"quantity": quantity})
        stock.check_problem(answer, quantity)

    assert await stock.quantity(haleem) == 7


async def test_a_full_store_takes_no_more(stock: Stock) -> None:
    haleem = await stock.stock_up(0)
    await stock.admin.execute("UPDATE stock.inventory SET quantity = 999999999")

    answer = await stock.web.post(f"/v1/items/{haleem}/restock", json={"quantity": 2})

    assert answer.status_code == 409
    assert await stock.quantity(haleem) == 999_999_999


async def test_an_unknown_item_is_not_found(stock: Stock) -> None:
    nowhere = f"/v1/items/{uuid4()}"

    answers = [
        await stock.web.patch(nowhere, json={"price": "1"}),
        await stock.web.post(f"{nowhere}/restock", json={"quantity": 1}),
        await stock.web.get(f"{nowhere}/transactions"),
        await stock.web.get("/v1/items/haleem/transactions"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert {answer.json()["type"] for answer in answers} == {"/problems/not-found"}


async def test_only_an_operator_changes_items_or_reads_the_ledger(stock: Stock, tokens: Tokens) -> None:
    haleem = await stock.stock_up(7)

    async def ask_all(headers: dict[str, str]) -> set[int]:
        answers = [
            await stock.web.post("/v1/items", json=NEW_ITEM, headers=headers),
            await stock.web.patch(f"/v1/items/{haleem}", json={"price": "0.01"}, headers=headers),
            await stock.web.post(f"/v1/items/{haleem}/restock", json={"quantity": 1}, headers=headers),
            await stock.web.get(f"/v1/items/{haleem}/transactions", headers=headers),
        ]
        return {answer.status_code for answer in answers}

    assert await ask_all({"Authorization": ""}) == {401}
    assert await ask_all(tokens.header("not.a.token")) == {401}
    assert await ask_all(tokens.header(tokens.student())) == {403}
    assert await ask_all(tokens.header(tokens.kitchen())) == {403}
