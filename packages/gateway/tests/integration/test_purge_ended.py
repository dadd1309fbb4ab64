"""Orders that ended long ago are deleted with their keys; what is open, unconfirmed or young stays, whatever is asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from cafeteria.chassis.database.retention import BATCH_ROWS, PurgeEnded
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import earliest_id
from cafeteria.gateway.domain import Placing

if TYPE_CHECKING:
    from conftest import BrokenStack

HALEEM = UUID(int=1)
REST = "next_ask_at = NULL, next_check_at = NULL"
STATES = {
    "collected": f"status = 'COLLECTED', version = 5, {REST}",
    "ready": f"status = 'READY', version = 4, {REST}",
    "rejected": f"status = 'REJECTED', version = 2, rejection_reason = 'EXPIRED', {REST}",
    "cancelled": f"status = 'CANCELLED', version = 3, released_at = now(), {REST}",
    "cooking": f"status = 'IN_KITCHEN', version = 3, {REST}",
    "pending": "version = 1",
    "not released": "status = 'CANCELLED', version = 3, next_ask_at = now(), next_check_at = NULL",
    "not confirmed": "status = 'READY', version = 4, next_ask_at = NULL, next_check_at = now()",
}


async def make_older(admin: asyncpg.Connection, order_id: UUID, *, days: float, number: int) -> None:
    """Give the order the id of an earlier time."""
    older = UUID(int=earliest_id(now() - timedelta(days=days)).int + number)
    async with admin.transaction():
        await admin.execute("SET LOCAL session_replication_role = replica")  # no check of the foreign key
        await admin.execute("UPDATE gateway.orders SET id = $1 WHERE id = $2", older, order_id)
        await admin.execute(
            "UPDATE gateway.idempotency_keys SET order_id = $1 WHERE order_id = $2", older, order_id
        )


async def keys_left(admin: asyncpg.Connection) -> set[str]:
    rows = await admin.fetch(
        "SELECT key FROM gateway.idempotency_keys JOIN gateway.orders ON orders.id = order_id"
    )
    return {row["key"].partition(":")[2] for row in rows}


async def test_only_what_has_ended_and_left_nothing_to_do_is_deleted(
    broken_stack: BrokenStack, admin_database: asyncpg.Connection, placing: Callable[..., Placing]
) -> None:
    for number, (key, assignment) in enumerate(STATES.items()):
        order = placing({HALEEM: 1}, key=key)
        await broken_stack.receive([order])
        await admin_database.execute(
            f"UPDATE gateway.orders SET {assignment} WHERE id = $1",  # noqa: S608 - written above
            order.order.id,
        )
        await make_older(admin_database, order.order.id, days=31, number=number)

    await PurgeEnded(broken_stack.database, days=30).run()

    left = {"cooking", "pending", "not released", "not confirmed"}
    assert await keys_left(admin_database) == left
    assert await admin_database.fetchval("SELECT count(*) FROM gateway.orders") == len(left)


async def test_nothing_younger_than_eight_days_is_deleted_for_any_number_of_days(
    broken_stack: BrokenStack, admin_database: asyncpg.Connection, placing: Callable[..., Placing]
) -> None:
    for number, (key, days) in enumerate({"younger": 7.9, "older": 8.1}.items()):
        order = placing({HALEEM: 1}, key=key)
        await broken_stack.receive([order])
        await admin_database.execute(
            f"UPDATE gateway.orders SET {STATES['ready']} WHERE id = $1",  # noqa: S608 - written above
            order.order.id,
        )
        await make_older(admin_database, order.order.id, days=days, number=number)

    await PurgeEnded(broken_stack.database, days=-1000).run()

    assert await keys_left(admin_database) == {"younger"}


async def test_more_than_a_batch_is_deleted_in_one_run(
    broken_stack: BrokenStack, admin_database: asyncpg.Connection, placing: Callable[..., Placing]
) -> None:
    count = 2 * BATCH_ROWS + 1
    order = placing({HALEEM: 1})
    await broken_stack.receive([order])
    await admin_database.execute("DELETE FROM gateway.idempotency_keys")
    await admin_database.execute(
        f"""WITH copies AS (
            SELECT (jsonb_populate_record(orders, jsonb_build_object('id', uuidv7(interval '-40 days'), 'status', 'READY',
                'version', 4, 'next_ask_at', NULL, 'next_check_at', NULL))).*
            FROM gateway.orders, generate_series(1, {count}))
        INSERT INTO gateway.orders SELECT * FROM copies"""  # noqa: S608 - a number
    )

    await PurgeEnded(broken_stack.database, days=30).run()

    assert await admin_database.fetchval("SELECT count(*) FROM gateway.orders") == 1
