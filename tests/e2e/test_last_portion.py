"""One portion, 200 buyers, and a shelf that is changed under them by everybody who may."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec

BUYERS, STUDENTS, RESTOCKS = 200, 20, 5


class Shelf:
    """What an operator does to one dish. Every change is answered, so the ledger can be counted."""

    def __init__(self, campus: Any, operator: Any, dish: UUID) -> None:
        self._campus, self._operator, self._dish = campus, operator, dish

    async def on_sale(self, value: bool) -> None:  # noqa: FBT001 - the switch's two positions
        await self._ask("PATCH", "", {"on_sale": value})

    async def restock(self) -> None:
        await self._ask("POST", "/restock", {"quantity": 1})

    async def _ask(self, method: str, path: str, body: dict[str, Any]) -> None:
        url = f"{self._campus.stack.url('stock-2')}/v1/items/{self._dish}{path}"
        headers = {"Content-Type": "application/json", **self._operator.authorization}
        async with self._campus.http.request(
            method, url, data=msgspec.json.encode(body), headers=headers
        ) as answer:
            answer.raise_for_status()


async def test_one_portion_is_sold_once_while_it_is_taken_off_restocked_and_given_back(
    campus, lines_of, order_in, wait_until
) -> None:
    """Two gateways, two stocks. What was sold and kept, and what can still be bought, is what there was."""
    dish = await campus.dish(1)
    shelf = Shelf(campus, await campus.person("operator-1"), dish)
    students = [await campus.student() for _ in range(STUDENTS)]
    given_back = 0

    async def buy(number: int) -> int:
        nonlocal given_back
        student = students[number % STUDENTS]
        answer = await student.order(lines_of(dish), key=f"last-{number}")
        if answer.status == 201 and number % 2:
            cancelled = await student.cancel(order_in(answer).id)
            given_back += cancelled.status == 200
        return int(answer.status)

    async def disturb() -> None:
        for _ in range(RESTOCKS):
            await shelf.on_sale(False)
            await shelf.restock()
            await shelf.on_sale(True)

    statuses, _ = await asyncio.gather(asyncio.gather(*map(buy, range(BUYERS))), disturb())
    assert set(statuses) <= {201, 409}
    sold, there = statuses.count(201) - given_back, 1 + RESTOCKS

    async def all_given_back() -> bool:
        [item] = [each for each in (await campus.snapshot()).items if each.item_id == dish]
        return (item.restocked, item.quantity + sold) == (there, there)

    await wait_until(all_given_back)
    await campus.until_all_menus_say(dish, there - sold)
    left = [await students[0].order(lines_of(dish), key=f"left-{n}") for n in range(there - sold + 1)]
    assert [answer.status for answer in left] == [201] * (there - sold) + [409]
