"""Reconcile delivery ends for an order only when its receivers are known to have its messages."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from cafeteria.chassis.messaging.reconciliation import Unconfirmed, finding_of
from cafeteria.contracts.subjects import KITCHEN, NOTIFICATION
from cafeteria.contracts.values import OrderStatus
from cafeteria.gateway.domain import versions_to_deliver

ORDER = UUID(int=1)
DUE_AT = datetime(2026, 3, 1, 18, tzinfo=UTC)
MISSING, HAS, NO_ANSWER = frozenset({ORDER}), frozenset[UUID](), None


def unconfirmed(status: OrderStatus, *, at_kitchen: bool = False, notified: int = 0) -> Unconfirmed:
    wanted = versions_to_deliver(status, is_known_to_kitchen=at_kitchen, notified_version=notified)
    return Unconfirmed(key=ORDER, due_at=DUE_AT, wanted=wanted)


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        (unconfirmed(OrderStatus.PENDING), {NOTIFICATION: 1}),
        (unconfirmed(OrderStatus.PENDING, notified=1), {}),
        (unconfirmed(OrderStatus.STOCK_VERIFIED), {KITCHEN: 2, NOTIFICATION: 2}),
        (unconfirmed(OrderStatus.STOCK_VERIFIED, notified=1), {KITCHEN: 2, NOTIFICATION: 2}),
        (unconfirmed(OrderStatus.STOCK_VERIFIED, at_kitchen=True), {NOTIFICATION: 2}),
        (unconfirmed(OrderStatus.STOCK_VERIFIED, notified=2), {KITCHEN: 2}),
        (unconfirmed(OrderStatus.REJECTED), {NOTIFICATION: 2}),
        (unconfirmed(OrderStatus.CANCELLED), {NOTIFICATION: 2}),
        (unconfirmed(OrderStatus.IN_KITCHEN), {NOTIFICATION: 2}),
        (unconfirmed(OrderStatus.READY, at_kitchen=True, notified=2), {}),
    ],
)
def test_the_kitchen_needs_a_verified_order_and_notification_the_gateways_own_states(
    order: Unconfirmed, wanted: dict[str, int]
) -> None:
    assert order.wanted == wanted


@pytest.mark.parametrize(
    ("order", "kitchen", "notification", "confirmed_by", "done"),
    [
        (unconfirmed(OrderStatus.STOCK_VERIFIED), HAS, HAS, {KITCHEN, NOTIFICATION}, True),
        (unconfirmed(OrderStatus.STOCK_VERIFIED), MISSING, HAS, {NOTIFICATION}, False),
        (unconfirmed(OrderStatus.STOCK_VERIFIED), HAS, MISSING, {KITCHEN}, False),
        (unconfirmed(OrderStatus.STOCK_VERIFIED), NO_ANSWER, HAS, {NOTIFICATION}, False),
        (unconfirmed(OrderStatus.STOCK_VERIFIED), HAS, NO_ANSWER, {KITCHEN}, False),
        (unconfirmed(OrderStatus.STOCK_VERIFIED, at_kitchen=True), NO_ANSWER, HAS, {NOTIFICATION}, True),
        (unconfirmed(OrderStatus.IN_KITCHEN, at_kitchen=True), NO_ANSWER, HAS, {NOTIFICATION}, True),
        (unconfirmed(OrderStatus.REJECTED), NO_ANSWER, HAS, {NOTIFICATION}, True),
        (unconfirmed(OrderStatus.REJECTED), NO_ANSWER, MISSING, set(), False),
        (unconfirmed(OrderStatus.PENDING), NO_ANSWER, HAS, {NOTIFICATION}, True),
        (unconfirmed(OrderStatus.PENDING), NO_ANSWER, MISSING, set(), False),
        (unconfirmed(OrderStatus.READY, at_kitchen=True, notified=2), NO_ANSWER, NO_ANSWER, set(), True),
    ],
)
def test_a_receiver_that_does_not_answer_confirms_nothing(
    order: Unconfirmed,
    kitchen: frozenset[UUID] | None,
    notification: frozenset[UUID] | None,
    confirmed_by: set[str],
    *,
    done: bool,
) -> None:
    finding = finding_of(order, {KITCHEN: kitchen, NOTIFICATION: notification})
    assert (finding.confirmed_by, finding.is_done) == (confirmed_by, done)
    assert finding.due_at == order.due_at
