"""Many orders in one request are decided in one commit, each separately, in one reply of limited size."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from cafeteria.chassis.messaging import PeerRefused
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.stock import (
    MAX_ORDERS,
    MAX_REPLY_BYTES,
    Decision,
    OrdersDecided,
    ReserveOrders,
    ReserveStock,
    StockDecided,
)
from cafeteria.contracts.subjects import RESERVE
from cafeteria.contracts.values import RejectionReason
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import Stock


LONGEST_NAME = "\U00010348" * 120  # four bytes each on the wire


async def test_a_request_is_decided_in_one_commit_and_answered_in_the_order_asked(stock: Stock) -> None:
    haleem = await stock.stock_up(100)
    orders = [stock.order({haleem: 1}) for _ in range(MAX_ORDERS)][::-1]

    decisions = await stock.reserve_all(orders)

    assert [each.order_id for each in decisions] == [each.order_id for each in orders]
    assert [each.decision for each in decisions] == [Decision.RESERVED] * 100 + [Decision.REJECTED] * 28
    assert await stock.admin.fetchval("SELECT count(DISTINCT decided_at) FROM stock.reservations") == 1
    await stock.check_balance()


async def test_an_order_named_twice_in_a_request_has_one_decision(stock: Stock) -> None:
    haleem = await stock.stock_up(5)
    order = stock.order({haleem: 2})

    first, second = await stock.reserve_all([order, order])

    assert first == second
    assert await stock.ledger_of(order.order_id) == [("DEDUCT", 2)]


async def test_an_order_that_cannot_be_decided_is_left_out_and_its_neighbours_are_decided(
    stock: Stock,
) -> None:
    haleem = await stock.stock_up(100)
    good = [stock.order({haleem: 1}) for _ in range(3)]
    without_lines = stock.order({})
    item_twice = msgspec.structs.replace(good[0], order_id=new_id(), lines=good[0].lines * 2)
    unwritable = stock.order({haleem: 1})
    async with refused_by_the_database(stock, unwritable):
        decisions = await stock.reserve_all(
            [good[0], without_lines, good[1], unwritable, item_twice, good[2]]
        )

    assert [each.order_id for each in decisions] == [each.order_id for each in good]
    assert await stock.quantity(haleem) == 97
    await stock.check_balance()


@pytest.mark.parametrize(
    "unreadable",
    [
        b'{"order_id":"nonsense","lines":[],"age_ms":0}',
        b'{"lines":[]}',
        b'{"order_id":"0193a5e0-4c00-7000-8000-0000000000a1","lines":[],"age_ms":-1}',
        b"17",
        b"null",
        b"[]",
    ],
)
async def test_an_order_that_cannot_be_read_is_left_out_and_its_neighbours_are_decided(
    stock: Stock, unreadable: bytes
) -> None:
    haleem = await stock.stock_up(5)
    orders = [msgspec.json.encode(stock.order({haleem: 1})) for _ in range(2)]
    body = b'{"orders":[%b,%b,%b]}' % (orders[0], unreadable, orders[1])

    reply = await stock.bus.client.request(RESERVE.subject, body, timeout=20)

    decided = msgspec.json.decode(reply.data, type=OrdersDecided)
    assert [each.decision for each in decided.decisions] == [Decision.RESERVED] * 2


async def test_more_orders_than_a_request_may_name_are_refused_and_nothing_is_decided(stock: Stock) -> None:
    haleem = await stock.stock_up(200)

    with pytest.raises(PeerRefused) as refusal:
        await stock.reserve_all([stock.order({haleem: 1}) for _ in range(MAX_ORDERS + 1)])

    assert refusal.value.peer_code == "400"
    assert await stock.quantity(haleem) == 200


async def test_a_reply_holds_what_fits_and_asking_for_the_others_gets_the_rest(stock: Stock) -> None:
    items = [await stock.stock_up(MAX_ORDERS, name=LONGEST_NAME) for _ in range(20)]
    orders = [stock.order(dict.fromkeys(items, 1)) for _ in range(MAX_ORDERS)]
    left, answered = list(orders), list[StockDecided]()
    while left:
        reply = await raw_reply(stock, left)
        assert len(reply) <= MAX_REPLY_BYTES
        decisions = msgspec.json.decode(reply, type=OrdersDecided).decisions
        assert decisions
        answered += decisions
        left = left[len(decisions) :]

    assert [each.order_id for each in answered] == [each.order_id for each in orders]
    assert {each.decision for each in answered} == {Decision.RESERVED}
    assert await stock.quantity(items[0]) == 0
    await stock.check_balance()


async def test_an_expired_order_does_not_expire_its_neighbours(stock: Stock) -> None:
    haleem = await stock.stock_up(5)
    orders = [stock.order({haleem: 1}, age_ms=age_ms) for age_ms in (0, 60_001, 60_000)]

    decisions = await stock.reserve_all(orders)

    assert [each.reason for each in decisions] == [None, RejectionReason.EXPIRED, None]


async def test_with_the_database_away_a_request_is_answered_by_an_error(
    stock: Stock, servers: FixtureServers
) -> None:
    haleem = await stock.stock_up(5)
    await servers.postgres.stop()
    try:
        with pytest.raises(PeerRefused) as refusal:
            await stock.reserve_all([stock.order({haleem: 1}) for _ in range(3)])
    finally:
        await servers.postgres.start()
    assert refusal.value.peer_code == "503"


async def raw_reply(stock: Stock, orders: list[ReserveStock]) -> bytes:
    body = msgspec.json.encode(ReserveOrders(orders=tuple(orders)))
    reply = await stock.bus.client.request(RESERVE.subject, body, timeout=20)
    return bytes(reply.data)


@asynccontextmanager
async def refused_by_the_database(stock: Stock, order: ReserveStock) -> AsyncIterator[None]:
    """While this holds, no decision on the order can be written."""
    await stock.admin.execute(
        f"ALTER TABLE stock.reservations ADD CONSTRAINT poison CHECK (order_id <> '{order.order_id}')"
    )
    try:
        yield
    finally:
        await stock.admin.execute("ALTER TABLE stock.reservations DROP CONSTRAINT poison")
