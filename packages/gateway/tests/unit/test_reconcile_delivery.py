"""Reconcile delivery ends for an order only when its receivers are known to have its messages."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from cafeteria.contracts.values import OrderStatus
from cafeteria.gateway.repository.mending import Unconfirmed
from cafeteria.gateway.service.confirm import finding_of

ORDER = UUID(int=1)
DUE_AT = datetime(2026, 3, 1, 18, tzinfo=UTC)
MISSING, HAS, NO_ANSWER = frozenset({ORDER}), frozenset[UUID](), None


def unconfirmed(status: OrderStatus, *, at_kitchen: bool = False, notified: int = 0) -> Unconfirmed:
    return Unconfirmed(
        id=ORDER, status=status, is_known_to_kitchen=at_kitchen, notified_version=notified, due_at=DUE_AT
    )


@pytest.mark.parametrize(
    ("order", "kitchen", "notification", "knows", "notified", "done"),
    [
        (unconfirmed(OrderStatus.STOCK_VERIFIED), HAS, HAS, True, 2, True),
        (unconfirmed(OrderStatus.STOCK_VERIFIED), MISSING, HAS, False, 2, False),
        (unconfirmed(OrderStatus.STOCK_VERIFIED), HAS, MISSING, True, 0, False),
        (unconfirmed(OrderStatus.STOCK_VERIFIED), NO_ANSWER, HAS, False, 2, False),
        (unconfirmed(OrderStatus.STOCK_VERIFIED), HAS, NO_ANSWER, True, 0, False),
        (unconfirmed(OrderStatus.STOCK_VERIFIED, at_kitchen=True), NO_ANSWER, HAS, False, 2, True),
        (unconfirmed(OrderStatus.IN_KITCHEN, at_kitchen=True), NO_ANSWER, HAS, False, 2, True),
        (unconfirmed(OrderStatus.REJECTED), NO_ANSWER, HAS, False, 2, True),
        (unconfirmed(OrderStatus.REJECTED), NO_ANSWER, MISSING, False, 0, False),
        (unconfirmed(OrderStatus.PENDING), NO_ANSWER, HAS, False, 1, True),
        (unconfirmed(OrderStatus.PENDING), NO_ANSWER, MISSING, False, 0, False),
        (unconfirmed(OrderStatus.READY, at_kitchen=True, notified=2), NO_ANSWER, NO_ANSWER, False, 2, True),
    ],
)
def test_a_receiver_that_does_not_answer_confirms_nothing(
    order: Unconfirmed,
    kitchen: frozenset[UUID] | None,
    notification: frozenset[UUID] | None,
    *,
    knows: bool,
    notified: int,
    done: bool,
) -> None:
    finding = finding_of(order, kitchen, notification)
    assert (finding.kitchen_knows, finding.notified_version, finding.is_done) == (knows, notified, done)
    assert finding.due_at == order.due_at
