"""Reconcile delivery: what the findings of a check change, and which messages are published again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from cafeteria.chassis.messaging.reconciliation import finding_of
from cafeteria.contracts import subjects
from cafeteria.contracts.subjects import KITCHEN, NOTIFICATION
from cafeteria.gateway.answers import settlement
from cafeteria.gateway.domain import Placing
from cafeteria.gateway.repository import reconcile_delivery, settle_orders

if TYPE_CHECKING:
    from conftest import BrokenStack


HALEEM = UUID(int=1)


async def test_of_two_replicas_with_the_same_finding_one_gets_the_messages(
    broken_stack: BrokenStack, admin_database: asyncpg.Connection, placing: Callable[..., Placing]
) -> None:
    order = placing({HALEEM: 1}, key="k")
    await broken_stack.receive([order])
    await broken_stack.set_due("next_check_at")
    async with broken_stack.database.statement() as connection:
        [due] = await reconcile_delivery.find_due(connection, 10)
        finding = finding_of(due, {KITCHEN: frozenset(), NOTIFICATION: frozenset({due.key})})
        messages = await reconcile_delivery.store(connection, [finding])
        assert [message.subject for message in messages[due.key]] == [subjects.GATEWAY_STATUS.subject]
        assert await reconcile_delivery.store(connection, [finding]) == {}


async def test_a_finding_about_a_pending_order_does_not_end_the_checks_of_the_decided_one(
    broken_stack: BrokenStack, admin_database: asyncpg.Connection, placing: Callable[..., Placing]
) -> None:
    """The decision is stored between the check and the finding, and its own time to check is past already."""
    order = placing({HALEEM: 1}, key="k")
    await broken_stack.receive([order])
    await broken_stack.set_due("next_check_at")
    async with broken_stack.database.statement() as connection:
        [pending] = await reconcile_delivery.find_due(connection, 10)
        await settle_orders.settle(connection, [settlement(broken_stack.verdict_on(order))])
    await admin_database.execute("DELETE FROM gateway.outbox")
    await broken_stack.set_due("next_check_at")
    finding = finding_of(pending, {KITCHEN: frozenset(), NOTIFICATION: frozenset()})
    assert finding.is_done
    async with broken_stack.database.statement() as connection:
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
    broken_stack: BrokenStack,
    admin_database: asyncpg.Connection,
    placing: Callable[..., Placing],
    assignment: str,
    sent_again: list[Any],
) -> None:
    order = placing({HALEEM: 1}, key="k")
    await broken_stack.receive([order])
    async with broken_stack.database.statement() as connection:
        await settle_orders.settle(connection, [settlement(broken_stack.verdict_on(order))])
    await admin_database.execute("DELETE FROM gateway.outbox")
    await broken_stack.set_due("next_check_at")
    async with broken_stack.database.statement() as connection:
        [due] = await reconcile_delivery.find_due(connection, 10)
    await admin_database.execute(f"UPDATE gateway.orders SET {assignment}")  # noqa: S608 - written above
    missing = frozenset({due.key})
    async with broken_stack.database.statement() as connection:
        messages = await reconcile_delivery.store(
            connection, [finding_of(due, {KITCHEN: missing, NOTIFICATION: missing})]
        )
    assert [message.subject for message in messages[due.key]] == [topic.subject for topic in sent_again]
    assert [message.version for message in messages[due.key]] == [2] * len(sent_again)
