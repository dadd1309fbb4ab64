"""Items are listed by name in pages, for anybody: searched, filtered, without gaps and repeats while items are added."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers
from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import Stock


LETTERS = "ABCDEFGHIJKLMNOPQRST"
DISHES = (
    "Beef haleem",
    "Crème brûlée",
    "100% mango juice",
    "50 jilapi",
    "set_menu",
    "set menu",
    "C:\\tea",
    "খিচুড়ি",
)


async def names(stock: Stock, **query: Any) -> list[str]:
    """The names on one page."""
    answer = await stock.web.get("/v1/items", params=query)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


async def pages(stock: Stock, **query: Any) -> AsyncIterator[list[dict[str, Any]]]:
    """One page after the other, until there is no next cursor."""
    cursor: dict[str, str] = {}
    while True:
        answer = await stock.web.get("/v1/items", params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        yield answer.json()["items"]
        following = answer.json()["next_cursor"]
        if following is None:
            return
        assert {"cursor": following} != cursor, "this page would follow itself for ever"
        cursor = {"cursor": following}


@pytest.fixture
async def menu(stock: Stock) -> Stock:
    for name in DISHES:
        await stock.stock_up(1, name=name)
    return stock


@pytest.mark.parametrize("role", ["nobody", "student", "kitchen", "operator"])
async def test_anybody_may_list_items(stock: Stock, tokens: Tokens, role: str) -> None:
    await stock.stock_up(1, name="Piyaju")
    headers = {"Authorization": ""} if role == "nobody" else tokens.header(getattr(tokens, role)())

    answer = await stock.web.get("/v1/items", params={"search": "piya", "on_sale": "true"}, headers=headers)

    assert (answer.status_code, [item["name"] for item in answer.json()["items"]]) == (200, ["Piyaju"])


async def test_items_are_listed_by_name_and_those_of_one_name_by_age(stock: Stock) -> None:
    wanted = [("Piyaju", 1), ("Beguni", 2), ("Jilapi", 3), ("Beguni", 4), ("Beguni", 5)]
    for name, quantity in wanted:
        await stock.stock_up(quantity, name=name)

    found = [(item["name"], item["quantity"]) async for page in pages(stock, limit=1) for item in page]

    assert found == [("Beguni", 2), ("Beguni", 4), ("Beguni", 5), ("Jilapi", 3), ("Piyaju", 1)]


@pytest.mark.parametrize(
    ("items", "limit", "sizes"), [(0, 2, [0]), (2, 2, [2]), (5, 2, [2, 2, 1]), (20, 20, [20])]
)
async def test_pages_end_with_the_last_item(stock: Stock, items: int, limit: int, sizes: list[int]) -> None:
    for letter in LETTERS[:items]:
        await stock.stock_up(1, name=letter)

    assert [len(page) async for page in pages(stock, limit=limit)] == sizes


async def test_a_page_has_fifty_items_unless_asked_otherwise(stock: Stock) -> None:
    for number in range(51):
        await stock.stock_up(1, name=f"Dish {number:02}")

    assert [len(page) async for page in pages(stock)] == [50, 1]
    assert len(await names(stock, limit=200)) == 51


async def test_pages_have_no_gap_and_no_repeat_while_items_are_added_and_changed(stock: Stock) -> None:
    for letter in LETTERS:
        await stock.stock_up(1, name=letter)
    found: list[str] = []
    added: list[str] = []

    async for page in pages(stock, limit=3):
        found += [item["name"] for item in page]
        added.append(f"{page[-1]['name']} right behind page {len(added)}")
        await stock.stock_up(1, name="0 before all others")
        await stock.stock_up(1, name=added[-1])
        await stock.change(
            page[-1]["id"], name="~ at the end", on_sale=False
        )  # the item that the cursor names

    assert [name for name in found if name in LETTERS] == list(LETTERS)
    assert sorted(name for name in found if name in added) == sorted(
        added[:-1]
    )  # the last page had no cursor
    assert "0 before all others" not in found


async def test_pages_are_whole_while_other_operators_add_items(stock: Stock) -> None:
    for letter in LETTERS:
        await stock.stock_up(1, name=letter)
    walking = True

    async def add_items(name: str) -> int:
        added = 0
        while walking:
            added += 1
            await stock.stock_up(1, name=f"{name} {added}")
        return added

    adding = [asyncio.create_task(add_items(name)) for name in ("AA", "JJ", "ZZ")]
    walks = [[item["id"] async for page in pages(stock, limit=5) for item in page] for _ in range(3)]
    walking = False
    added = await asyncio.gather(*adding)

    old = set(
        await stock.admin.fetchval("SELECT array_agg(id::text) FROM stock.items WHERE length(name) = 1")
    )
    assert min(added) > 0
    for walk in walks:
        assert old <= set(walk)
        assert len(walk) == len(set(walk))


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("haleem", ["Beef haleem"]),
        ("BEEF H", ["Beef haleem"]),
        ("  beef   haleem ", ["Beef haleem"]),
        ("CRÈME BRÛ", ["Crème brûlée"]),
        ("Cre\u0300me", ["Crème brûlée"]),
        ("চুড়", ["খিচুড়ি"]),
        ("%", ["100% mango juice"]),
        ("0%", ["100% mango juice"]),
        ("_", ["set_menu"]),
        ("t_m", ["set_menu"]),
        ("\\", ["C:\\tea"]),
        ("\\t", ["C:\\tea"]),
        ("set", ["set menu", "set_menu"]),
        ("'; DROP TABLE stock.items; --", []),
        ("haleem%", []),
        ("/", []),
    ],
)
async def test_a_search_finds_the_text_itself_in_any_case(menu: Stock, search: str, found: list[str]) -> None:
    assert await names(menu, search=search) == found


@pytest.mark.parametrize("search", ["", " ", "\u3000"])
async def test_a_search_for_nothing_lists_every_item(menu: Stock, search: str) -> None:
    assert sorted(await names(menu, search=search)) == sorted(DISHES)


async def test_a_search_and_a_filter_hold_on_every_page(stock: Stock) -> None:
    for number in range(12):
        item_id = await stock.stock_up(1, name=f"{'Tea' if number % 2 else 'Juice'} {number:02}")
        if number % 3 == 0:
            await stock.change(item_id, on_sale=False)

    async def walk(**query: Any) -> list[str]:
        return [item["name"] async for page in pages(stock, limit=1, **query) for item in page]

    assert await walk(search="tea", on_sale="true") == ["Tea 01", "Tea 05", "Tea 07", "Tea 11"]
    assert await walk(search="tea", on_sale="false") == ["Tea 03", "Tea 09"]
    assert await walk(on_sale="false") == ["Juice 00", "Juice 06", "Tea 03", "Tea 09"]
    assert len(await walk(on_sale="true")) == 8


async def test_an_item_is_listed_as_it_is_now(stock: Stock) -> None:
    haleem = await stock.stock_up(7, price="120.50")
    await stock.reserve(stock.order({haleem: 2}))
    changed = await stock.change(haleem, on_sale=False)

    [listed] = (await stock.web.get("/v1/items")).json()["items"]

    assert listed == changed
    assert (listed["quantity"], listed["available"], listed["version"]) == (5, 0, 3)


IMPOSSIBLE_QUERIES: list[dict[str, Any]] = [
    {"limit": 0},
    {"limit": 201},
    {"limit": "all"},
    {"cursor": ""},
    {"cursor": "nonsense"},
    {"cursor": "ä" * 30},
    {"cursor": "A" * 22},
    {"cursor": "A" * 2000 + "!"},
    {"on_sale": ""},
    {"on_sale": "yes"},
    {"on_sale": "1"},
    {"on_sale": "TRUE"},
    {"on_sale": ["true", "false"]},
    {"search": "x" * 121},
    {"search": "a\0b"},
    {"search": ["a", "b"]},
]


async def test_an_impossible_query_is_a_problem_of_the_client(stock: Stock) -> None:
    for wrong in IMPOSSIBLE_QUERIES:
        stock.check_problem(await stock.web.get("/v1/items", params=wrong), wrong)
    for raw in ("search=%ff", "search=%zz"):
        stock.check_problem(await stock.web.get(f"/v1/items?{raw}"), raw)


async def test_the_longest_name_leads_to_the_next_page(stock: Stock) -> None:
    longest = "\U00010348" * 120
    for _ in range(2):
        await stock.stock_up(1, name=longest)

    assert [[item["name"] for item in page] async for page in pages(stock, limit=1)] == [[longest], [longest]]
    assert await names(stock, search=longest) == [longest, longest]


async def test_with_the_table_locked_the_list_is_unavailable_and_comes_back(
    stock: Stock, servers: FixtureServers
) -> None:
    await stock.stock_up(1, name="Haleem")
    async with servers.database_as_admin() as other, other.transaction():
        await other.execute("LOCK TABLE stock.items IN ACCESS EXCLUSIVE MODE")
        answers = await asyncio.gather(*(stock.web.get("/v1/items") for _ in range(3)))

    assert {refusal(answer) for answer in answers} == {(503, "/problems/unavailable")}
    assert await names(stock) == ["Haleem"]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"]


async def test_a_list_whose_connection_dies_is_unavailable_and_comes_back(
    stock: Stock, servers: FixtureServers
) -> None:
    await stock.stock_up(1, name="Haleem")
    async with servers.database_as_admin() as other, other.transaction():
        await other.execute("LOCK TABLE stock.items IN ACCESS EXCLUSIVE MODE")
        asking = asyncio.create_task(stock.web.get("/v1/items"))

        async def is_killed() -> bool:
            return bool(
                await stock.admin.fetchval(
                    "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
                    " WHERE application_name = 'cafeteria-stock' AND wait_event_type = 'Lock' AND query ILIKE '%LIMIT%'"
                )
            )

        await until(is_killed)
        assert refusal(await asking) == (503, "/problems/unavailable")

    async def is_back() -> bool:
        answer = await stock.web.get("/v1/items")
        return bool(answer.status_code == 200)

    await until(is_back)
