"""Purge: old keys go once their order has ended; orders stay."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from cafeteria.chassis.runtime.clock import now
from cafeteria.gateway.domain import Placing
from cafeteria.gateway.use_cases.purge_keys import PurgeKeys

if TYPE_CHECKING:
    from conftest import BrokenStack


HALEEM = UUID(int=1)
DAY = timedelta(days=1)


async def test_keys_older_than_a_day_are_purged_once_their_order_has_ended(
    broken_stack: BrokenStack, admin_database: asyncpg.Connection, placing: Callable[..., Placing]
) -> None:
    states = {
        "ended": "status = 'REJECTED', version = 2, rejection_reason = 'EXPIRED'",
        "ready": "status = 'READY', version = 4",
        "cooking": "status = 'IN_KITCHEN', version = 3",
        "pending": "version = 1",
        "young": "status = 'READY', version = 4",
    }
    for key, assignment in states.items():
        order = placing({HALEEM: 1}, key=key)
        await broken_stack.receive([order])
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
    await PurgeKeys(broken_stack.database).run()
    left = await admin_database.fetch("SELECT key FROM gateway.idempotency_keys")
    assert {row["key"].partition(":")[2] for row in left} == {"cooking", "pending", "young"}
    assert await admin_database.fetchval("SELECT count(*) FROM gateway.orders") == len(states)
