"""Receive: one order to a key, dated by the database; and the usage of students, which has limits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import msgspec
import pytest
import sqlalchemy as sa

from cafeteria.chassis.database.group_commit import BATCH_LIMIT
from cafeteria.contracts.gateway import Order
from cafeteria.contracts.values import OrderStatus
from cafeteria.gateway.answers import to_view
from cafeteria.gateway.domain import Placing
from cafeteria.gateway.limits import ORDERS_PER_DAY
from cafeteria.gateway.repository import receive_orders, retry_pending

if TYPE_CHECKING:
    from conftest import BrokenStack


HALEEM = UUID(int=1)
STUDENT, ANOTHER = "210041101", "210041102"

_READY_ORDERS = """
INSERT INTO gateway.orders (id, student_id, status, created_at, updated_at, lines, version, expires_at, status_times)
SELECT uuidv7($3), $1, 'READY', now() + $3, now(), '[]', 4, now(), '{}' FROM generate_series(1, $2)
"""
_ROWS_READ = sa.text("""
SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables WHERE schemaname = 'gateway'
""")


async def test_the_same_key_twice_in_one_batch_makes_one_order(
    broken_stack: BrokenStack, placing: Callable[..., Placing]
) -> None:
    first, second = placing({HALEEM: 1}, key="k"), placing({HALEEM: 1}, key="k")
    new = await broken_stack.receive([first, second])
    assert len(new) == 1
    async with broken_stack.database.statement() as connection:
        known = await receive_orders.find_by_key(connection, [first.key])
    assert {known[first.key].order.id} == new


async def test_an_order_is_dated_by_the_database_and_its_age_is_read_with_it(
    broken_stack: BrokenStack, admin_database: asyncpg.Connection, placing: Callable[..., Placing]
) -> None:
    order = placing({HALEEM: 1}, key="k")
    async with broken_stack.database.statement() as connection:
        received = await receive_orders.receive(connection, [order])
        stored = (await receive_orders.find_by_key(connection, [order.key]))[order.key].order
    assert stored.created_at == received.at == stored.status_times[OrderStatus.PENDING]
    assert stored.expires_at - stored.created_at == timedelta(seconds=60)
    assert 0 <= stored.age_ms < 10_000
    snapshot = await admin_database.fetchval("SELECT response_snapshot FROM gateway.idempotency_keys")
    assert msgspec.json.decode(snapshot, type=Order) == to_view(stored)


@pytest.mark.parametrize(("age", "age_ms"), [("100 years", 3_155_760_000_000), ("-1 hour", 0)])
async def test_no_age_is_too_great_to_be_read_and_none_is_below_0(
    broken_stack: BrokenStack,
    admin_database: asyncpg.Connection,
    placing: Callable[..., Placing],
    age: str,
    age_ms: int,
) -> None:
    """A month in milliseconds exceeds four bytes; a clock may be set back."""
    order = placing({HALEEM: 1}, key="k")
    await broken_stack.receive([order])
    await admin_database.execute(
        f"UPDATE gateway.orders SET created_at = now() - interval '{age}', next_ask_at = now()"  # noqa: S608 - above
    )
    async with broken_stack.database.statement() as connection:
        read = [
            (await receive_orders.find_by_key(connection, [order.key]))[order.key].order,
            *[claimed for claimed, _ in await retry_pending.claim_pending(connection, limit=1)],
        ]
    assert [each.age_ms for each in read] == [pytest.approx(age_ms, abs=86_400_000)] * 2


@pytest.mark.parametrize("statistics", ["without statistics", "with statistics"])
async def test_a_students_usage_is_read_from_the_orders_of_a_day_however_many_old_ones_there_are(
    broken_stack: BrokenStack,
    admin_database: asyncpg.Connection,
    placing: Callable[..., Placing],
    statistics: str,
) -> None:
    """The plan is made while the table is empty; and no student's day is read beyond ORDERS_PER_DAY."""
    batch = [placing({HALEEM: 1}) for _ in range(BATCH_LIMIT)]
    async with broken_stack.database.transaction() as connection:
        await receive_orders.read_usages(connection, batch)
    for student, orders, age_days in (
        (STUDENT, 100_000, 2),
        (ANOTHER, 100_000, 2),
        (STUDENT, 20, 0),
        (ANOTHER, 5_000, 0),
    ):
        await admin_database.execute(_READY_ORDERS, student, orders, timedelta(days=-age_days))
    if statistics == "with statistics":
        await admin_database.execute("ANALYZE gateway.orders")
    another = placing({HALEEM: 1}, student_id=ANOTHER)
    for placings, orders in ((batch[:1], 20), (batch, 20), ([another], ORDERS_PER_DAY)):
        async with broken_stack.database.transaction() as connection:
            before = await connection.scalar(_ROWS_READ)
            stored = await receive_orders.read_usages(connection, placings)
            read = await connection.scalar(_ROWS_READ) - before
        assert [usage.orders for usage in stored.usages.values()] == [orders]
        assert read <= orders + 1
