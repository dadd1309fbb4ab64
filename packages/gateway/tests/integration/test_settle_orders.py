"""Reserve and settle: orders of one commit share one request to stock; each is settled by its own decision alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from cafeteria.contracts import subjects
from cafeteria.contracts.stock import MAX_ORDERS
from cafeteria.gateway.answers import settlement
from cafeteria.gateway.domain import Placing
from cafeteria.gateway.repository import settle_orders
from cafeteria.testkit.plugin import until
from cafeteria.testkit.servers import FixtureServers

if TYPE_CHECKING:
    from conftest import BrokenStack, FakeStock, LosesConnection, OpenGateway, RunningGateway


HALEEM = UUID(int=1)

pytestmark = pytest.mark.usefixtures("long_deadlines")


async def place_together(gateway: RunningGateway, placings: list[Any]) -> list[Any]:
    """Place orders that all wait before the first commit begins, so that they are one batch."""
    return await asyncio.gather(*map(gateway.service.place_order, placings))


async def test_a_batch_is_one_request_of_new_orders_with_their_traces(
    gateway: RunningGateway, stock: FakeStock, placing: Callable[..., Placing]
) -> None:
    item = stock.stock_up(6)
    placings = [placing({item: 1}) for _ in range(8)]
    placed = await place_together(gateway, placings)
    assert sorted(each.status for each in placed) == [201] * 6 + [409] * 2
    [asked] = stock.asked
    assert {order.order_id for order in asked} == {each.order.id for each in placings}
    assert {order.age_ms for order in asked} == {0}
    assert {order.traceparent for order in asked} == {placings[0].order.traceparent}
    assert not any(each.is_replay for each in placed)


async def test_more_orders_than_a_request_may_name_are_asked_about_in_several(
    gateway: RunningGateway, stock: FakeStock, placing: Callable[..., Placing]
) -> None:
    item = stock.stock_up(1_000)
    placed = await place_together(gateway, [placing({item: 1}) for _ in range(300)])
    assert {each.status for each in placed} == {201}
    assert sum(map(len, stock.asked)) == 300
    assert max(map(len, stock.asked)) == MAX_ORDERS


@pytest.mark.parametrize(
    "decision",
    [
        {"order_id": "{id}", "decision": "RESERVED"},
        {"order_id": "{id}", "decision": "REJECTED"},
        {"order_id": "{id}", "decision": "BURNT"},
        {"order_id": "{id}", "decision": "RESERVED", "items": 17},
        {"decision": "RESERVED"},
        {"order_id": str(UUID(int=7)), "decision": "REJECTED", "reason": "EXPIRED"},
        None,
        [],
        17,
    ],
    ids=str,
)
async def test_a_decision_that_makes_no_sense_leaves_its_order_pending_and_the_others_settled(
    gateway: RunningGateway, stock: FakeStock, placing: Callable[..., Placing], decision: Any
) -> None:
    item = stock.stock_up(10)
    placings = [placing({item: 1}) for _ in range(3)]
    bad = placings[1].order.id
    if isinstance(decision, dict) and decision.get("order_id") == "{id}":
        decision = {**decision, "order_id": str(bad)}
    stock.instead[bad] = decision
    placed = await place_together(gateway, placings)
    assert [each.status for each in placed] == [201, 202, 201]
    assert await gateway.status(str(bad)) == "PENDING"
    stock.instead.clear()
    again = await gateway.service.place_order(placings[1])
    assert again.status == 201


async def test_an_order_missing_in_a_reply_is_asked_about_again_at_once_and_stays_pending(
    gateway: RunningGateway, stock: FakeStock, placing: Callable[..., Placing]
) -> None:
    item = stock.stock_up(10)
    placings = [placing({item: 1}) for _ in range(3)]
    stock.leaves_out = {placings[2].order.id}
    placed = await place_together(gateway, placings)
    assert [each.status for each in placed] == [201, 201, 202]
    assert [len(asked) for asked in stock.asked] == [3, 1]


async def test_orders_that_did_not_fit_into_a_reply_are_answered_in_time(
    gateway: RunningGateway, stock: FakeStock, placing: Callable[..., Placing]
) -> None:
    item = stock.stock_up(10)
    stock.holds = 2
    placed = await place_together(gateway, [placing({item: 1}) for _ in range(5)])
    assert {each.status for each in placed} == {201}
    assert [len(asked) for asked in stock.asked] == [5, 3, 1]


async def test_the_decision_on_another_order_settles_nothing_of_it(
    gateway: RunningGateway, stock: FakeStock, placing: Callable[..., Placing]
) -> None:
    """Even if that one is PENDING too: only the reply to an order's own request counts."""
    item = stock.stock_up(10)
    stock.leaves_out = {(other := placing({item: 1})).order.id}
    assert (await gateway.service.place_order(other)).status == 202
    stock.leaves_out = set()
    mine = placing({item: 1})
    stock.instead[mine.order.id] = stock.decisions[other.order.id]
    assert (await gateway.service.place_order(mine)).status == 202
    assert await gateway.status(str(mine.order.id)) == "PENDING"


async def test_a_request_that_stock_refuses_is_asked_in_halves_down_to_the_order_that_it_refuses(
    gateway: RunningGateway, stock: FakeStock, placing: Callable[..., Placing]
) -> None:
    item = stock.stock_up(200)
    placings = [placing({item: 1}) for _ in range(MAX_ORDERS)]
    bad = placings[77].order.id
    stock.refuses = {bad}
    placed = await place_together(gateway, placings)
    assert [each.status for each in placed].count(202) == 1
    assert placed[77].status == 202
    assert len(stock.asked) == 1 + 2 * 7
    assert stock.portions[item] == 200 - (MAX_ORDERS - 1)


async def test_a_stock_whose_database_is_down_is_not_asked_in_halves(
    gateway: RunningGateway, stock: FakeStock, placing: Callable[..., Placing]
) -> None:
    item = stock.stock_up(10)
    stock.is_away_for = 1
    placed = await place_together(gateway, [placing({item: 1}) for _ in range(4)])
    assert {each.status for each in placed} == {202}
    assert [len(asked) for asked in stock.asked[:1]] == [4]
    assert stock.portions[item] == 10


async def test_an_order_that_cannot_be_settled_leaves_the_others_settled(
    gateway: RunningGateway, stock: FakeStock, placing: Callable[..., Placing]
) -> None:
    item = stock.stock_up(10)
    placings = [placing({item: 1}) for _ in range(4)]
    bad = placings[2].order.id
    await gateway.admin_database.execute(
        f"ALTER TABLE gateway.orders ADD CONSTRAINT poison CHECK (id <> '{bad}' OR status = 'PENDING')"
    )
    try:
        placed = await place_together(gateway, placings)
    finally:
        await gateway.admin_database.execute("ALTER TABLE gateway.orders DROP CONSTRAINT poison")
    assert [each.status for each in placed] == [201, 201, 202, 201]


async def test_stock_is_asked_although_nobody_waits_any_more(
    gateway: RunningGateway, stock: FakeStock, placing: Callable[..., Placing], servers: FixtureServers
) -> None:
    item = stock.stock_up(10)
    placings = [placing({item: 1}) for _ in range(3)]
    async with servers.database_as_admin() as other:
        async with other.transaction():
            await other.execute("LOCK TABLE gateway.orders IN ACCESS EXCLUSIVE MODE")
            placing_them = asyncio.ensure_future(place_together(gateway, placings))
            await until(lambda: gateway.service.receive_orders.batcher.running_for_s)
            placing_them.cancel()
        await until(lambda: all_verified(gateway, [each.order.id for each in placings]))
    assert [len(asked) for asked in stock.asked] == [3]


async def test_orders_whose_commit_had_an_unknown_outcome_are_each_asked_about_alone(
    gateway: RunningGateway,
    stock: FakeStock,
    placing: Callable[..., Placing],
    loses_connection: type[LosesConnection],
) -> None:
    item = stock.stock_up(10)
    receive_orders = gateway.service.receive_orders
    receive_orders._database = loses_connection(receive_orders._database, times=1, is_committed=True)
    placed = await place_together(gateway, [placing({item: 1}) for _ in range(3)])
    assert {(each.status, each.is_replay) for each in placed} == {(201, False)}
    assert [len(asked) for asked in stock.asked] == [1, 1, 1]


async def test_retry_pending_asks_about_five_hundred_orders_in_four_requests(
    open_gateway: OpenGateway, stock: FakeStock, broken_stack: BrokenStack
) -> None:
    item = stock.stock_up(1_000)
    await broken_stack.received_many({item: 1}, 500)
    await broken_stack.make_due("created_at", "next_ask_at", age_s=10)
    gateway = await open_gateway()
    await until(lambda: is_empty_of(gateway, "PENDING"), timeout_s=20)
    assert sorted(map(len, stock.asked)) == [116, 128, 128, 128]
    assert all(10_000 <= order.age_ms < 40_000 for asked in stock.asked for order in asked)
    assert stock.portions[item] == 500


async def test_batches_that_overlap_in_any_order_neither_deadlock_nor_order_twice(
    broken_stack: BrokenStack, admin_database: asyncpg.Connection, placing: Callable[..., Placing]
) -> None:
    keys = [f"k{number}" for number in range(40)]
    batches = [
        [placing({HALEEM: 1}, key=key) for key in (keys if turn % 2 else reversed(keys))]
        for turn in range(12)
    ]
    made = await asyncio.gather(*(broken_stack.receive(batch) for batch in batches))
    assert sum(map(len, made)) == len(keys)
    orders = [new for batch in batches for new in batch if new.order.id in set().union(*made)]

    async def settle(turn: int) -> int:
        """Settle all orders; return how many this call changed."""
        verdicts = [broken_stack.verdict_on(each) for each in orders]
        settlements = [settlement(verdict) for verdict in (verdicts if turn % 2 else reversed(verdicts))]
        async with broken_stack.database.statement() as connection:
            return len(settlements) - len(await settle_orders.settle(connection, settlements))

    settled = await asyncio.gather(*(settle(turn) for turn in range(8)))
    assert sum(settled) == len(keys)
    assert await admin_database.fetchval("SELECT count(*) FROM gateway.outbox") == 2 * len(keys)


async def test_the_status_event_precedes_the_cook_command_in_the_outbox(
    broken_stack: BrokenStack, admin_database: asyncpg.Connection, placing: Callable[..., Placing]
) -> None:
    orders = [placing({HALEEM: 1}, key=f"k{number}") for number in range(10)]
    await broken_stack.receive(orders)
    settlements = [settlement(broken_stack.verdict_on(each)) for each in orders]
    async with broken_stack.database.statement() as connection:
        await settle_orders.settle(connection, settlements)
    rows = await admin_database.fetch("SELECT order_id, subject FROM gateway.outbox ORDER BY id")
    assert [(row["order_id"], row["subject"]) for row in rows] == [
        (each.order.id, subject)
        for each in orders
        for subject in (subjects.GATEWAY_STATUS.subject, subjects.WORK_PLACED.subject)
    ]


async def all_verified(gateway: RunningGateway, order_ids: list[UUID]) -> bool:
    return [await gateway.status(str(each)) for each in order_ids] == ["STOCK_VERIFIED"] * len(order_ids)


async def is_empty_of(gateway: RunningGateway, status: str) -> bool:
    count = await gateway.admin_database.fetchval(
        "SELECT count(*) FROM gateway.orders WHERE status = $1", status
    )
    return bool(count == 0)
