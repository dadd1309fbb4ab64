"""How stock's decision changes an order, and the messages that follow."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.stock import Decision, ItemPrice, StockDecided
from cafeteria.contracts.values import STATUS_VERSIONS, Line, OrderStatus, RejectionReason
from cafeteria.gateway.domain import (
    NewOrder,
    Verdict,
    as_pending,
    as_received,
    cancel_ticket,
    cook_order,
    is_from_kitchen,
    judge,
    own_status_event,
    pending_order,
)
from cafeteria.gateway.errors import DecisionUnusableError

AT = datetime(2026, 3, 1, 18, 4, tzinfo=UTC)
DECIDED_AT = AT + timedelta(milliseconds=40)
ORDER, HALEEM, DATES = UUID(int=1), UUID(int=2), UUID(int=3)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NEW = NewOrder(
    id=ORDER,
    student_id="210041101",
    lines=(Line(item_id=HALEEM, quantity=2), Line(item_id=DATES, quantity=1)),
    traceparent=TRACEPARENT,
)
PENDING = pending_order(NEW, at=AT)
PRICES = (
    ItemPrice(item_id=DATES, name="Dates", unit_price=Decimal("15.50")),
    ItemPrice(item_id=HALEEM, name="Haleem", unit_price=Decimal("120.00")),
)


def reserved() -> Verdict:
    decided = StockDecided(order_id=ORDER, decision=Decision.RESERVED, items=PRICES)
    return judge(PENDING, decided, at=DECIDED_AT)


def rejected(reason: RejectionReason, items: tuple[UUID, ...] = ()) -> Verdict:
    decided = StockDecided(order_id=ORDER, decision=Decision.REJECTED, reason=reason, refused_item_ids=items)
    return judge(PENDING, decided, at=DECIDED_AT)


def test_a_reserved_order_is_verified_at_stocks_prices() -> None:
    verdict = reserved()
    assert (verdict.order.status, verdict.order.version) == (OrderStatus.STOCK_VERIFIED, 2)
    assert verdict.order.total == Decimal("255.50")
    assert [(line.name, line.unit_price) for line in verdict.order.lines] == [
        ("Haleem", Decimal("120.00")),
        ("Dates", Decimal("15.50")),
    ]


def test_a_rejected_order_keeps_the_reason_and_names_the_refused_items() -> None:
    verdict = rejected(RejectionReason.OUT_OF_STOCK, (HALEEM,))
    assert (verdict.order.status, verdict.order.version) == (OrderStatus.REJECTED, 2)
    assert verdict.order.rejection_reason is RejectionReason.OUT_OF_STOCK
    assert verdict.refused_item_ids == (HALEEM,)


def test_a_gift_costs_nothing_and_still_has_a_total() -> None:
    free = tuple(msgspec.structs.replace(price, unit_price=Decimal("0.00")) for price in PRICES)
    decided = StockDecided(order_id=ORDER, decision=Decision.RESERVED, items=free)
    assert judge(PENDING, decided, at=DECIDED_AT).order.total == Decimal("0.00")


@pytest.mark.parametrize(
    "decided",
    [
        StockDecided(order_id=HALEEM, decision=Decision.RESERVED, items=PRICES),
        StockDecided(order_id=ORDER, decision=Decision.RESERVED, items=PRICES[:1]),
        StockDecided(order_id=ORDER, decision=Decision.REJECTED),
    ],
    ids=["about another order", "without a price", "without a reason"],
)
def test_a_reply_that_does_not_fit_decides_nothing(decided: StockDecided) -> None:
    with pytest.raises(DecisionUnusableError):
        judge(PENDING, decided, at=DECIDED_AT)


def test_a_pending_order_has_no_prices_and_can_be_asked_about_again() -> None:
    received = as_received(PENDING)
    assert (received.status, received.total, received.lines[0].unit_price) == (
        OrderStatus.PENDING,
        None,
        None,
    )
    assert as_pending(received) == PENDING
    assert PENDING.expires_at - PENDING.created_at == timedelta(seconds=60)


def test_every_event_carries_the_states_before_it() -> None:
    pending, verified = own_status_event(as_received(PENDING)), own_status_event(reserved().order)
    assert (pending.status, pending.version, pending.earlier) == (OrderStatus.PENDING, 1, ())
    assert (verified.status, verified.version, verified.at) == (OrderStatus.STOCK_VERIFIED, 2, DECIDED_AT)
    assert [(step.status, step.at) for step in verified.earlier] == [(OrderStatus.PENDING, AT)]
    refused = own_status_event(rejected(RejectionReason.EXPIRED).order)
    assert (refused.status, refused.reason) == (OrderStatus.REJECTED, RejectionReason.EXPIRED)


def test_the_gateways_own_last_event_stays_the_same_after_the_kitchens_states() -> None:
    order = reserved().order
    ready = msgspec.structs.replace(
        order,
        status=OrderStatus.READY,
        version=4,
        status_times={OrderStatus.READY: DECIDED_AT, **order.status_times},
    )
    assert own_status_event(ready) == own_status_event(order)


def test_the_kitchen_is_sent_the_priced_lines_and_the_whole_path() -> None:
    order = reserved().order
    for message in (cook_order(order), cancel_ticket(order)):
        assert message.lines == order.lines
        assert [step.version for step in message.earlier] == [1, 2]
    assert (cook_order(order).version, cancel_ticket(order).version) == (2, 3)


@pytest.mark.parametrize("status", list(OrderStatus))
@pytest.mark.parametrize("version", range(7))
def test_the_kitchen_may_publish_only_its_own_states_with_their_versions(
    status: OrderStatus, version: int
) -> None:
    event = OrderStatusChanged(order_id=ORDER, student_id="210041101", status=status, version=version, at=AT)
    own = {OrderStatus.IN_KITCHEN, OrderStatus.READY, OrderStatus.COLLECTED, OrderStatus.CANCELLED}
    assert is_from_kitchen(event) is (status in own and version == STATUS_VERSIONS[status])


def test_all_that_is_published_about_an_order_carries_the_trace_of_its_request() -> None:
    pending, verified, refused = (
        as_received(PENDING),
        reserved().order,
        rejected(RejectionReason.EXPIRED).order,
    )
    events = [own_status_event(order) for order in (pending, verified, refused)]
    assert [event.traceparent for event in events] == [TRACEPARENT] * 3
    assert cook_order(verified).traceparent == TRACEPARENT
