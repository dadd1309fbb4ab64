"""One portion, 200 buyers, and an operator who changes its stock meanwhile: each portion is sold once."""

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    from conftest import RunningStack

BUYERS, STUDENTS, RESTOCKS = 200, 20, 5


class Shelf:
    """An operator's changes to one dish. Each change is answered, so that the ledger can be counted."""

    def __init__(self, stack: "RunningStack", operator: Any, dish: UUID) -> None:
        self._stack, self._operator, self._dish = stack, operator, dish

    async def on_sale(self, value: bool) -> None:  # noqa: FBT001 - the switch's two positions
        await self._ask("PATCH", "", {"on_sale": value})

    async def restock(self) -> None:
        await self._ask("POST", "/restock", {"quantity": 1})

    async def _ask(self, method: str, path: str, body: dict[str, Any]) -> None:
        url = f"{self._stack.processes.url('stock-2')}/v1/items/{self._dish}{path}"
        headers = {"Content-Type": "application/json", **self._operator.authorization}
        async with self._stack.http.request(
            method, url, data=msgspec.json.encode(body), headers=headers
        ) as answer:
            answer.raise_for_status()


async def test_one_portion_is_sold_once_while_it_is_taken_off_restocked_and_given_back(
    stack: "RunningStack", lines_of, order_in, wait_until
) -> None:
    """Over two gateways and two stocks; the portions sold and kept and those left add up to all that there were."""
    dish = await stack.dish(1)
    shelf = Shelf(stack, await stack.account("operator-1"), dish)
    students = [await stack.student() for _ in range(STUDENTS)]
    given_back = 0

    async def buy(number: int) -> int:
        nonlocal given_back
        student = students[number % STUDENTS]
        answer = await student.order(lines_of(dish), key=f"last-{number}")
        if answer.status == 201 and number % 2:
            cancelled = await student.cancel(order_in(answer).id)
            given_back += cancelled.status == 200
        return answer.status or 0

    async def disturb() -> None:
        for _ in range(RESTOCKS):
            await shelf.on_sale(False)
            await shelf.restock()
            await shelf.on_sale(True)

    statuses, _ = await asyncio.gather(asyncio.gather(*map(buy, range(BUYERS))), disturb())
    assert set(statuses) <= {201, 409}
    sold, there = statuses.count(201) - given_back, 1 + RESTOCKS

    async def all_given_back() -> bool:
        [item] = [each for each in (await stack.snapshot()).items if each.item_id == dish]
        return (item.restocked, item.quantity + sold) == (there, there)

    await wait_until(all_given_back)
    await stack.until_all_menus_show(dish, there - sold)
    left = [await students[0].order(lines_of(dish), key=f"left-{n}") for n in range(there - sold + 1)]
    assert [answer.status for answer in left] == [201] * (there - sold) + [409]
