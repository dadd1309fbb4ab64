"""What an item may be called and what it may cost, as clients send it: to the byte."""

# ruff: noqa: RUF001 - letters of other scripts that look like Latin ones

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from conftest import Stock


NEW_ITEM = {"name": "Beef haleem", "price": "120.50", "quantity": 40}
INVALID = "/problems/invalid-request"

UNUSABLE_NAMES = [
    "",
    "   ",
    "\u00a0\u3000",
    "\u200b",
    "\u2800",
    "\u3164",
    "\u115f\u1160",
    "\uffa0",
    "\ufeff",
    "\u00ad",
    "\u200d",
    "\ufe0f",
    "\u0301",
    "\U000e0068\U000e0069",
    "Beef\u202emeelah",
    "\u2066Beef\u2069",
    "Beef\u200f",
    "Beef\u200bhaleem",
    "Beef\u3164",
    "Beef\nhaleem",
    "Beef\ue000",
    "Beef\ufdd0",
    "Be\u200def",
    "haleem\U000e0041",
]
NAMES = {
    "  Beef  haleem ": "Beef haleem",
    "Cre\u0300me\u00a0brule\u0301e\u3000": "Crème brulée",
    "খিচুড়ি": "খিচুড়ি",
    "র\u200d্যাব": "র\u200d্যাব",
    "می\u200cخواهم": "می\u200cخواهم",
    "👩🏽\u200d🍳 ❤\ufe0f": "👩🏽\u200d🍳 ❤\ufe0f",
}
PRICES = {"0": "0.00", "120": "120.00", "7.5": "7.50", "120.50": "120.50", "99999999.99": "99999999.99"}
IMPOSSIBLE_PRICES = [
    '"1_0"',
    '" 1 "',
    '"1\\n"',
    '"১৪০"',
    '"１２"',
    '"1e2"',
    '"+5"',
    '"-0"',
    '"-1"',
    '"1."',
    '".5"',
    '"1,5"',
    '"1.005"',
    '"100000000"',
    '"0x10"',
    '"NaN"',
    '"Infinity"',
    '""',
    "-0.0",
    "-0",
    "120",
    "1e2",
    "1.0000000000000000000000000000000000",
    "NaN",
    "true",
    "null",
]


async def send(stock: Stock, method: str, path: str, body: str) -> httpx.Response:
    """A body as it is written here: no library makes its numbers prettier."""
    answer: httpx.Response = await stock.web.request(
        method, path, content=body.encode(), headers={"Content-Type": "application/json"}
    )
    return answer


async def test_a_name_that_nobody_could_read_is_refused_on_every_route(stock: Stock) -> None:
    haleem = await stock.stock_up(7)

    for name in UNUSABLE_NAMES:
        created = await send(stock, "POST", "/v1/items", json.dumps({**NEW_ITEM, "name": name}))
        renamed = await send(stock, "PATCH", f"/v1/items/{haleem}", json.dumps({"name": name}))
        for answer in (created, renamed):
            assert (answer.status_code, answer.json().get("type")) == (400, INVALID), ascii(name)

    [kept] = (await stock.web.get("/v1/items")).json()["items"]
    assert (kept["name"], kept["version"]) == ("Haleem", 1)


async def test_a_name_is_kept_in_one_form_on_every_route(stock: Stock) -> None:
    haleem = await stock.stock_up(7)

    for sent, kept in NAMES.items():
        created = await stock.web.post("/v1/items", json={**NEW_ITEM, "name": sent})
        renamed = await stock.web.patch(f"/v1/items/{haleem}", json={"name": sent})
        assert (created.status_code, renamed.status_code) == (201, 200), ascii(sent)
        assert [created.json()["name"], renamed.json()["name"]] == [kept, kept]

    listed = {item["name"] for item in (await stock.web.get("/v1/items")).json()["items"]}
    assert listed == set(NAMES.values())


async def test_a_price_that_is_not_digits_with_two_places_is_refused(stock: Stock) -> None:
    haleem = await stock.stock_up(7, price="120.00")

    for price in IMPOSSIBLE_PRICES:
        body = f'{{"name":"Beef haleem","price":{price},"quantity":1}}'
        created = await send(stock, "POST", "/v1/items", body)
        changed = await send(stock, "PATCH", f"/v1/items/{haleem}", f'{{"price":{price}}}')
        for answer in (created, changed):
            assert (answer.status_code, answer.json().get("type")) == (400, INVALID), ascii(price)

    [kept] = (await stock.web.get("/v1/items")).json()["items"]
    assert (kept["price"], kept["version"]) == ("120.00", 1)


async def test_a_price_is_kept_to_the_cent(stock: Stock) -> None:
    answers = [await stock.web.post("/v1/items", json={**NEW_ITEM, "price": price}) for price in PRICES]

    assert [answer.json()["price"] for answer in answers] == list(PRICES.values())
    listed = (await stock.web.get("/v1/items")).json()["items"]
    assert sorted(item["price"] for item in listed) == sorted(PRICES.values())
