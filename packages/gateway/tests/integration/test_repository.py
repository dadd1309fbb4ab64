"""The SQL against a real server: overlapping batches, claims of several replicas, and invalid rows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.messaging.reconciliation import finding_of
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts import subjects
from cafeteria.contracts.gateway import Order
from cafeteria.contracts.stock import Decision, ItemPrice, StockDecided
from cafeteria.contracts.subjects import KITCHEN, NOTIFICATION
from cafeteria.contracts.values import Line, OrderStatus
from cafeteria.gateway.answers import settlement, to_view
from cafeteria.gateway.domain import (
    NewOrder,
    Placing,
    Verdict,
    judge,
    pending_order,
)
from cafeteria.gateway.idempotency import request_hash, stored_key
from cafeteria.gateway.repository import receive_orders, reconcile_delivery, retry_pending, settle_orders
from cafeteria.gateway.settings import GatewaySettings
from cafeteria.gateway.tables import Base
from cafeteria.gateway.use_cases.purge_keys import PurgeKeys

HALEEM = UUID(int=1)
DAY = timedelta(days=1)


@pytest.fixture
async def database(clean: None, service_settings: Any) -> AsyncIterator[Database]:
    opened = Database.connect(service_settings(subjects.GATEWAY, GatewaySettings), service=subjects.GATEWAY)
    yield opened
    await opened.close()


def placing(key: str) -> Placing:
    lines = (Line(item_id=HALEEM, quantity=1),)
    order = NewOrder(id=new_id(), student_id="210041101", lines=lines)
    return Placing(order=order, key=stored_key("210041101", key), request_hash=request_hash(lines))


async def receive(database: Database, placings: list[Placing]) -> set[UUID]:
    """Receive the orders; return the ids of those that are new."""
    async with database.statement() as connection:
        received = await receive_orders.receive(connection, placings)
    return {placing.order.id for placing in placings} - received.repeats


async def make_due(admin_database: asyncpg.Connection, column: str) -> None:
    """Set this time of all orders to the past, so that they are due."""
    await admin_database.execute(f"UPDATE gateway.orders SET {column} = now() - interval '1 ms'")  # noqa: S608 - test


def verdict_on(placing: Placing) -> Verdict:
    """The verdict after stock has reserved the order."""
    return judge(pending_order(placing.order, at=now()), reserved(placing.order.id), at=now())


async def test_the_migration_creates_the_tables_that_the_code_declares(servers: Any) -> None:
    engine = create_async_engine(servers.postgres_admin_url.replace("postgresql", "postgresql+asyncpg", 1))

    def differences(connection: Connection) -> list[Any]:
        def is_ours(_thing: Any, name: str | None, kind: str, *_: Any) -> bool:
            return (
                kind != "table" or name in Base.metadata.tables or f"gateway.{name}" in Base.metadata.tables
            )

        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _: kind != "schema" or name == "gateway",
                "include_object": is_ours,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        return list(compare_metadata(context, Base.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_the_same_key_twice_in_one_batch_makes_one_order(database: Database) -> None:
    first, second = placing("k"), placing("k")
    new = await receive(database, [first, second])
    assert len(new) == 1
    async with database.statement() as connection:
        known = await receive_orders.find_by_key(connection, [first.key])
    assert {known[first.key].order.id} == new


async def test_batches_that_overlap_in_any_order_neither_deadlock_nor_order_twice(
    database: Database, admin_database: asyncpg.Connection
) -> None:
    keys = [f"k{number}" for number in range(40)]
    batches = [[placing(key) for key in (keys if turn % 2 else reversed(keys))] for turn in range(12)]
    made = await asyncio.gather(*(receive(database, batch) for batch in batches))
    assert sum(map(len, made)) == len(keys)
    orders = [new for batch in batches for new in batch if new.order.id in set().union(*made)]

    async def settle(turn: int) -> int:
        """Settle all orders; return how many this call changed."""
        verdicts = [verdict_on(each) for each in orders]
        settlements = [settlement(verdict) for verdict in (verdicts if turn % 2 else reversed(verdicts))]
        async with database.statement() as connection:
            return len(settlements) - len(await settle_orders.settle(connection, settlements))

    settled = await asyncio.gather(*(settle(turn) for turn in range(8)))
    assert sum(settled) == len(keys)
    assert await admin_database.fetchval("SELECT count(*) FROM gateway.outbox") == 2 * len(keys)


async def test_the_status_event_precedes_the_cook_command_in_the_outbox(
    database: Database, admin_database: asyncpg.Connection
) -> None:
    orders = [placing(f"k{number}") for number in range(10)]
    await receive(database, orders)
    settlements = [settlement(verdict_on(each)) for each in orders]
    async with database.statement() as connection:
        await settle_orders.settle(connection, settlements)
    rows = await admin_database.fetch("SELECT order_id, subject FROM gateway.outbox ORDER BY id")
    assert [(row["order_id"], row["subject"]) for row in rows] == [
        (each.order.id, subject)
        for each in orders
        for subject in (subjects.GATEWAY_STATUS.subject, subjects.WORK_PLACED.subject)
    ]


async def test_two_replicas_claim_different_orders_and_publish_each_once(
    database: Database, admin_database: asyncpg.Connection
) -> None:
    await receive(database, [placing(f"k{number}") for number in range(20)])
    # a claimed old order is due again after four seconds, a new one after one
    await admin_database.execute("UPDATE gateway.orders SET created_at = now() - interval '1 day'")
    await make_due(admin_database, "next_ask_at")
    async with database.transaction() as one, database.transaction() as other:
        claimed = [await retry_pending.claim_pending(connection, limit=10) for connection in (one, other)]
    ids = [{order.id for order, _ in claim} for claim in claimed]
    assert (len(ids[0]), len(ids[1]), ids[0] & ids[1]) == (10, 10, set())
    assert all(is_unpublished for claim in claimed for _, is_unpublished in claim)
    async with database.transaction() as connection:
        assert await retry_pending.claim_pending(connection, limit=50) == []
    await make_due(admin_database, "next_ask_at")
    async with database.transaction() as connection:
        later = await retry_pending.claim_pending(connection, limit=50)
    assert len(later) == 20
    assert not any(is_unpublished for _, is_unpublished in later)


async def test_an_order_is_dated_by_the_database_and_its_age_is_read_with_it(
    database: Database, admin_database: asyncpg.Connection
) -> None:
    order = placing("k")
    async with database.statement() as connection:
        received = await receive_orders.receive(connection, [order])
        stored = (await receive_orders.find_by_key(connection, [order.key]))[order.key].order
    assert stored.created_at == received.at == stored.status_times[OrderStatus.PENDING]
    assert stored.expires_at - stored.created_at == timedelta(seconds=60)
    assert 0 <= stored.age_ms < 10_000
    snapshot = await admin_database.fetchval("SELECT response_snapshot FROM gateway.idempotency_keys")
    assert msgspec.json.decode(snapshot, type=Order) == to_view(stored)


@pytest.mark.parametrize(("age", "age_ms"), [("100 years", 3_155_760_000_000), ("-1 hour", 0)])
async def test_no_age_is_too_great_to_be_read_and_none_is_below_0(
    database: Database, admin_database: asyncpg.Connection, age: str, age_ms: int
) -> None:
    """A month in milliseconds exceeds four bytes; a clock may be set back."""
    order = placing("k")
    await receive(database, [order])
    await admin_database.execute(
        f"UPDATE gateway.orders SET created_at = now() - interval '{age}', next_ask_at = now()"  # noqa: S608 - above
    )
    async with database.statement() as connection:
        read = [
            (await receive_orders.find_by_key(connection, [order.key]))[order.key].order,
            *[claimed for claimed, _ in await retry_pending.claim_pending(connection, limit=1)],
        ]
    assert [each.age_ms for each in read] == [pytest.approx(age_ms, abs=86_400_000)] * 2


async def test_of_two_replicas_with_the_same_finding_one_gets_the_messages(
    database: Database, admin_database: asyncpg.Connection
) -> None:
    order = placing("k")
    await receive(database, [order])
    await make_due(admin_database, "next_check_at")
    async with database.statement() as connection:
        [due] = await reconcile_delivery.find_due(connection, 10)
        finding = finding_of(due, {KITCHEN: frozenset(), NOTIFICATION: frozenset({due.key})})
        messages = await reconcile_delivery.store(connection, [finding])
        assert [message.subject for message in messages[due.key]] == [subjects.GATEWAY_STATUS.subject]
        assert await reconcile_delivery.store(connection, [finding]) == {}


async def test_a_finding_about_a_pending_order_does_not_end_the_checks_of_the_decided_one(
    database: Database, admin_database: asyncpg.Connection
) -> None:
    """The decision is stored between the check and the finding, and its own time to check is past already."""
    order = placing("k")
    await receive(database, [order])
    await make_due(admin_database, "next_check_at")
    async with database.statement() as connection:
        [pending] = await reconcile_delivery.find_due(connection, 10)
        await settle_orders.settle(connection, [settlement(verdict_on(order))])
    await admin_database.execute("DELETE FROM gateway.outbox")
    await make_due(admin_database, "next_check_at")
    finding = finding_of(pending, {KITCHEN: frozenset(), NOTIFICATION: frozenset()})
    assert finding.is_done
    async with database.statement() as connection:
        assert await reconcile_delivery.store(connection, [finding]) == {}
        [verified] = await reconcile_delivery.find_due(connection, 10)
    assert verified.wanted == {KITCHEN: 2, NOTIFICATION: 2}


@pytest.mark.parametrize(
    ("assignment", "sent_again"),
    [
        ("version = 2", [subjects.GATEWAY_STATUS, subjects.WORK_PLACED]),
        ("status = 'IN_KITCHEN', version = 3", [subjects.GATEWAY_STATUS]),
        ("status = 'CANCELLED', version = 3, next_ask_at = now()", [subjects.GATEWAY_STATUS]),
    ],
    ids=["verified", "cooking", "cancelled"],
)
async def test_a_cook_command_is_sent_again_only_while_the_order_is_verified(
    database: Database, admin_database: asyncpg.Connection, assignment: str, sent_again: list[Any]
) -> None:
    order = placing("k")
    await receive(database, [order])
    async with database.statement() as connection:
        await settle_orders.settle(connection, [settlement(verdict_on(order))])
    await admin_database.execute("DELETE FROM gateway.outbox")
    await make_due(admin_database, "next_check_at")
    async with database.statement() as connection:
        [due] = await reconcile_delivery.find_due(connection, 10)
    await admin_database.execute(f"UPDATE gateway.orders SET {assignment}")  # noqa: S608 - written above
    missing = frozenset({due.key})
    async with database.statement() as connection:
        messages = await reconcile_delivery.store(
            connection, [finding_of(due, {KITCHEN: missing, NOTIFICATION: missing})]
        )
    assert [message.subject for message in messages[due.key]] == [topic.subject for topic in sent_again]
    assert [message.version for message in messages[due.key]] == [2] * len(sent_again)


async def test_keys_older_than_a_day_are_purged_once_their_order_has_ended(
    database: Database, admin_database: asyncpg.Connection
) -> None:
    states = {
        "ended": "status = 'REJECTED', version = 2, rejection_reason = 'EXPIRED'",
        "ready": "status = 'READY', version = 4",
        "cooking": "status = 'IN_KITCHEN', version = 3",
        "pending": "version = 1",
        "young": "status = 'READY', version = 4",
    }
    for key, assignment in states.items():
        order = placing(key)
        await receive(database, [order])
        await admin_database.execute(
            f"UPDATE gateway.orders SET {assignment} WHERE id = $1",  # noqa: S608 - written above
            order.order.id,
        )
        if key != "young":
            made_at = now() - DAY - timedelta(minutes=1)
            await admin_database.execute(
                "UPDATE gateway.idempotency_keys SET id = $1 WHERE order_id = $2",
                UUID(int=(int(made_at.timestamp() * 1000) << 80) + order.order.id.int % 2**64),
                order.order.id,
            )
    await PurgeKeys(database).run()
    left = await admin_database.fetch("SELECT key FROM gateway.idempotency_keys")
    assert {row["key"].partition(":")[2] for row in left} == {"cooking", "pending", "young"}
    assert await admin_database.fetchval("SELECT count(*) FROM gateway.orders") == len(states)


@pytest.mark.parametrize(
    ("assignment", "constraint"),
    [
        ("status = 'BURNT'", "ck_orders_status_known"),
        ("status = 'READY'", "ck_orders_version_of_status"),
        ("next_ask_at = NULL", "ck_orders_pending_is_asked_again"),
        ("status = 'CANCELLED', version = 3, next_ask_at = NULL", "ck_orders_cancelled_is_released"),
        ("status = 'REJECTED', version = 2", "ck_orders_rejected_has_reason"),
        ("released_at = now()", "ck_orders_only_cancelled_released"),
        ("total = -1", "ck_orders_total_not_negative"),
    ],
)
async def test_invalid_rows_cannot_be_stored(
    database: Database, admin_database: asyncpg.Connection, assignment: str, constraint: str
) -> None:
    await receive(database, [placing("k")])
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await admin_database.execute(f"UPDATE gateway.orders SET {assignment}")  # noqa: S608 - written above
    assert refused.value.constraint_name == constraint


async def test_the_jobs_read_by_their_indexes_however_many_orders_are_done(
    database: Database, admin_database: asyncpg.Connection
) -> None:
    await admin_database.execute(
        """INSERT INTO gateway.orders (id, student_id, status, created_at, updated_at, lines, version,
               expires_at, status_times)
           SELECT gen_random_uuid(), 's', 'READY', now(), now(), '[]', 4, now(), '{}'
           FROM generate_series(1, 20000)"""
    )
    await admin_database.execute("ANALYZE gateway.orders")
    for question in (
        "SELECT id FROM gateway.orders WHERE next_ask_at <= now() AND status = 'PENDING'",
        "SELECT id FROM gateway.orders WHERE next_check_at <= now() ORDER BY next_check_at LIMIT 500",
    ):
        plan = await admin_database.fetch(f"EXPLAIN {question}")
        assert "Seq Scan" not in str(plan), plan


def reserved(order_id: UUID) -> StockDecided:

    price = ItemPrice(item_id=HALEEM, name="Haleem", unit_price=Decimal("120.00"))
    return StockDecided(order_id=order_id, decision=Decision.RESERVED, items=(price,))
