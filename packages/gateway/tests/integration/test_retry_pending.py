"""Retry pending: replicas claim different orders, and publish PENDING once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from cafeteria.gateway.domain import Placing
from cafeteria.gateway.repository import retry_pending

if TYPE_CHECKING:
    from conftest import BrokenStack


HALEEM = UUID(int=1)


async def test_two_replicas_claim_different_orders_and_publish_each_once(
    broken_stack: BrokenStack, admin_database: asyncpg.Connection, placing: Callable[..., Placing]
) -> None:
    await broken_stack.receive([placing({HALEEM: 1}, key=f"k{number}") for number in range(20)])
    # a claimed old order is due again after four seconds, a new one after one
    await admin_database.execute("UPDATE gateway.orders SET created_at = now() - interval '1 day'")
    await broken_stack.set_due("next_ask_at")
    async with broken_stack.database.transaction() as one, broken_stack.database.transaction() as other:
        claimed = [await retry_pending.claim_pending(connection, limit=10) for connection in (one, other)]
    ids = [{order.id for order, _ in claim} for claim in claimed]
    assert (len(ids[0]), len(ids[1]), ids[0] & ids[1]) == (10, 10, set())
    assert all(is_unpublished for claim in claimed for _, is_unpublished in claim)
    async with broken_stack.database.transaction() as connection:
        assert await retry_pending.claim_pending(connection, limit=50) == []
    await broken_stack.set_due("next_ask_at")
    async with broken_stack.database.transaction() as connection:
        later = await retry_pending.claim_pending(connection, limit=50)
    assert len(later) == 20
    assert not any(is_unpublished for _, is_unpublished in later)
