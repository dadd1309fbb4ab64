"""The database connection dies around a COMMIT: the batch is there whole or not at all, and asking again tells."""

import asyncio
from typing import Any

from cafeteria.chassis.bus import NoAnswer, PeerRefused
from cafeteria.contracts.stock import Decision

_WAITING = """
SELECT pid FROM pg_stat_activity WHERE application_name = 'cafeteria-stock' AND wait_event_type = 'Lock'
"""
_KILL_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = 'cafeteria-stock' AND state <> 'idle'
"""


async def test_a_batch_whose_connection_dies_is_done_again_and_counts_once(
    canteen: Any, wait_until: Any
) -> None:
    haleem = await canteen.stock_up(10)
    orders = [canteen.order({haleem: 1}) for _ in range(5)]
    async with canteen.books.transaction():
        await canteen.books.execute("SELECT FROM stock.inventory WHERE item_id = $1 FOR UPDATE", haleem)
        asking = asyncio.gather(*map(canteen.reserve, orders))
        await wait_until(lambda: terminate_waiting(canteen))

    answers = await asking

    assert [answer.decision for answer in answers] == [Decision.RESERVED] * 5
    assert await canteen.quantity(haleem) == 5
    await canteen.check_books()


async def test_a_batch_that_dies_twice_is_answered_as_undecided_and_asking_again_decides(
    canteen: Any, wait_until: Any
) -> None:
    haleem = await canteen.stock_up(10)
    order = canteen.order({haleem: 2})
    async with canteen.books.transaction():
        await canteen.books.execute("SELECT FROM stock.inventory WHERE item_id = $1 FOR UPDATE", haleem)
        asking = asyncio.gather(canteen.reserve(order), return_exceptions=True)
        await wait_until(lambda: terminate_waiting(canteen))
        await wait_until(lambda: terminate_waiting(canteen))
        answers = await asking

    assert [type(answer) for answer in answers] == [PeerRefused]
    assert await canteen.quantity(haleem) == 10
    assert (await canteen.reserve(order)).decision is Decision.RESERVED
    assert await canteen.ledger_of(order.order_id) == [("DEDUCT", 2)]
    await canteen.check_books()


async def test_connections_that_die_at_any_moment_lose_and_double_nothing(two_stocks: Any) -> None:
    haleem = await two_stocks.stock_up(150)
    orders = [two_stocks.order({haleem: 1}) for _ in range(200)]
    asking = True

    async def ask_until_answered(order: Any) -> Any:
        while True:
            try:
                return await two_stocks.reserve(order)
            except (PeerRefused, NoAnswer):
                await asyncio.sleep(0)

    async def kill() -> int:
        killed = 0
        while asking:
            killed += await two_stocks.books.fetchval(_KILL_ALL)
        return killed

    async def ask_in_waves() -> list[Any]:
        answers = []
        for start in range(0, len(orders), 10):
            answers += await asyncio.gather(*map(ask_until_answered, orders[start : start + 10]))
        return answers

    killing = asyncio.create_task(kill())
    answers = await ask_in_waves()
    asking = False

    assert await killing > 0
    assert [answer.decision for answer in answers].count(Decision.RESERVED) == 150
    assert await two_stocks.quantity(haleem) == 0
    assert await asyncio.gather(*map(two_stocks.reserve, orders)) == answers
    await two_stocks.check_books()


async def terminate_waiting(canteen: Any) -> bool:
    """Whether a backend of stock was waiting for a lock, and is dead now."""
    pids = [row["pid"] for row in await canteen.books.fetch(_WAITING)]
    for pid in pids:
        await canteen.books.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
    return bool(pids)
