"""An operator's request with a key happens once, however often and wherever it is sent."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx

from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers
from cafeteria.testkit.tokens import Tokens

if TYPE_CHECKING:
    from conftest import OpenStock, Stock


NEW_ITEM = {"name": "Beef haleem", "price": "120.50", "quantity": 40}
REUSED = "/problems/idempotency-key-reused"


async def restock(
    stock: Stock, item_id: UUID, quantity: Any = 5, *, key: str | None = "k", url: str = "", **headers: str
) -> httpx.Response:
    answer: httpx.Response = await stock.web.post(
        f"{url}/v1/items/{item_id}/restock",
        json={"quantity": quantity},
        headers={**headers, **({"Idempotency-Key": key} if key else {})},
    )
    return answer


async def create(stock: Stock, body: Any = NEW_ITEM, *, key: str = "k", url: str = "") -> httpx.Response:
    content = body if isinstance(body, str) else json.dumps(body)
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    answer: httpx.Response = await stock.web.post(f"{url}/v1/items", content=content, headers=headers)
    return answer


def is_replay(answer: httpx.Response) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


async def keys_of(stock: Stock) -> list[str]:
    return [row["key"] for row in await stock.admin.fetch("SELECT key FROM stock.operations ORDER BY key")]


async def test_a_repeated_restock_adds_once_and_gets_the_same_bytes(stock: Stock) -> None:
    haleem = await stock.stock_up(7)

    first, second = await restock(stock, haleem), await restock(stock, haleem)

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content
    assert first.headers["content-type"] == second.headers["content-type"] == "application/json"
    assert [is_replay(first), is_replay(second)] == [False, True]
    assert await stock.quantity(haleem) == 12
    await stock.check_balance()


async def test_a_replay_answers_as_it_was_then(stock: Stock) -> None:
    haleem = await stock.stock_up(7)
    first = await restock(stock, haleem)
    await stock.change(haleem, name="Mutton haleem")
    await restock(stock, haleem, 30, key="another")

    assert (await restock(stock, haleem)).content == first.content
    assert await stock.quantity(haleem) == 42


async def test_a_repeated_creation_makes_one_item(stock: Stock) -> None:
    first, second = await create(stock), await create(stock, {**NEW_ITEM})
    written_otherwise = await create(
        stock, '{ "quantity": 40, "price": "120.5", "name": " Beef  haleem" }', key='"k"'
    )

    assert [answer.status_code for answer in (first, second, written_otherwise)] == [201] * 3
    assert first.content == second.content == written_otherwise.content
    assert [is_replay(answer) for answer in (first, second, written_otherwise)] == [False, True, True]
    assert len((await stock.web.get("/v1/items")).json()["items"]) == 1
    await stock.check_balance()


async def test_parallel_repeats_at_two_replicas_happen_once(two_stocks: Stock) -> None:
    haleem = await two_stocks.stock_up(7)
    urls = two_stocks.urls * 5

    restocked = await asyncio.gather(*(restock(two_stocks, haleem, url=url) for url in urls))
    created = await asyncio.gather(*(create(two_stocks, key="new", url=url) for url in urls))

    for answers, status in ((restocked, 200), (created, 201)):
        assert {answer.status_code for answer in answers} == {status}
        assert len({answer.content for answer in answers}) == 1
        assert sorted(map(is_replay, answers)) == [False] + [True] * 9
    assert await two_stocks.quantity(haleem) == 12
    assert len((await two_stocks.web.get("/v1/items")).json()["items"]) == 2
    await two_stocks.check_balance()


async def test_without_a_key_each_request_counts(stock: Stock) -> None:
    haleem = await stock.stock_up(7)

    answers = [await restock(stock, haleem, key=None) for _ in range(2)]

    assert [answer.json()["quantity"] for answer in answers] == [12, 17]
    assert not any(map(is_replay, answers))
    assert await keys_of(stock) == []


async def test_a_key_of_another_request_is_refused_and_nothing_happens(stock: Stock) -> None:
    haleem, jilapi = await stock.stock_up(7), await stock.stock_up(7)
    await restock(stock, haleem)

    refused = [
        await restock(stock, haleem, 6),
        await restock(stock, jilapi),
    ]

    assert [(answer.status_code, answer.json()["type"]) for answer in refused] == [(422, REUSED)] * 2
    assert [await stock.quantity(item_id) for item_id in (haleem, jilapi)] == [12, 7]
    made = await create(stock)
    renamed = await create(stock, {**NEW_ITEM, "name": "Mutton haleem"})
    assert [made.status_code, renamed.status_code] == [201, 422]
    assert len((await stock.web.get("/v1/items")).json()["items"]) == 3


async def test_of_parallel_requests_with_one_key_and_two_bodies_one_happens(stock: Stock) -> None:
    haleem = await stock.stock_up(7)

    answers = await asyncio.gather(*(restock(stock, haleem, 1 + number % 2) for number in range(8)))

    assert {answer.status_code for answer in answers} == {200, 422}
    assert await stock.quantity(haleem) in {8, 9}
    await stock.check_balance()


async def test_a_key_is_its_operators_and_its_routes_own(stock: Stock, tokens: Tokens) -> None:
    haleem = await stock.stock_up(7)
    await restock(stock, haleem)

    answer = await restock(stock, haleem, 30, **tokens.header(tokens.operator("operator-2")))

    assert (answer.status_code, is_replay(answer)) == (200, False)
    assert await stock.quantity(haleem) == 42
    assert (await create(stock)).status_code == 201
    assert await keys_of(stock) == ["operator-1:create:k", "operator-1:restock:k", "operator-2:restock:k"]


async def test_what_was_refused_leaves_its_key_unused(stock: Stock, tokens: Tokens) -> None:
    haleem = await stock.stock_up(7)
    await stock.admin.execute("UPDATE stock.inventory SET quantity = 999999999")

    refused = [
        await restock(stock, haleem, 0),
        await restock(stock, uuid4()),
        await restock(stock, haleem, Authorization=""),
        await restock(stock, haleem, **tokens.header(tokens.student())),
        await restock(stock, haleem),
        await create(stock, {**NEW_ITEM, "name": "\u200b"}),
    ]
    assert [answer.status_code for answer in refused] == [400, 404, 401, 403, 409, 400]
    assert await keys_of(stock) == []

    await stock.admin.execute("UPDATE stock.inventory SET quantity = 7")
    assert (await restock(stock, haleem)).json()["quantity"] == 12


async def test_a_request_that_timed_out_is_done_once_by_its_repeat(stock: Stock) -> None:
    haleem = await stock.stock_up(7)
    async with stock.admin.transaction():
        await stock.admin.execute("SELECT FROM stock.inventory FOR UPDATE")
        assert (await restock(stock, haleem)).status_code == 503

    answers = [await restock(stock, haleem) for _ in range(2)]

    assert [(answer.status_code, is_replay(answer)) for answer in answers] == [(200, False), (200, True)]
    assert await stock.quantity(haleem) == 12
    await stock.check_balance()


async def test_a_key_that_is_none_is_refused(stock: Stock) -> None:
    haleem = await stock.stock_up(7)

    for key in ("two words", "a,b", "x" * 256, '""'):
        answer = await restock(stock, haleem, key=key)
        assert answer.status_code == 400, key
    twice = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    answer = await stock.web.post(f"/v1/items/{haleem}/restock", json={"quantity": 5}, headers=twice)

    assert answer.status_code == 400
    assert await stock.quantity(haleem) == 7


async def test_a_key_is_forgotten_after_a_day(
    clean: None, servers: FixtureServers, open_stock: OpenStock
) -> None:
    async with servers.database_as_admin() as admin:
        await admin.execute(
            "INSERT INTO stock.operations"
            " SELECT 'operator-1:create:' || hours, sha256('x'), 200, '{}', now() - make_interval(hours => hours)"
            " FROM unnest(ARRAY[23, 25, 48]) AS hours"
        )
    stock = await open_stock()

    async def is_purged() -> bool:
        return await keys_of(stock) == ["operator-1:create:23"]

    await until(is_purged)
