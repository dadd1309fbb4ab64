"""The final answers to orders: status and bytes, and the items to publish with them."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from cafeteria.contracts.gateway import Order
from cafeteria.contracts.problems import Problem
from cafeteria.contracts.stock import Decision, ItemPrice, StockDecided
from cafeteria.contracts.values import Line, OrderStatus, RejectionReason
from cafeteria.gateway.answers import (
    KeyedOrder,
    answer_without_key,
    final_answer,
    order_body,
    receipt_of,
    settlement,
)
from cafeteria.gateway.domain import (
    NewOrder,
    Placing,
    Verdict,
    as_received,
    cook_order,
    judge,
    own_status_event,
    pending_order,
)

AT = datetime(2026, 3, 1, 18, 4, tzinfo=UTC)
ORDER, HALEEM, DATES = UUID(int=1), UUID(int=2), UUID(int=3)
NEW = NewOrder(id=ORDER, student_id="210041101", lines=(Line(item_id=HALEEM, quantity=2),))
PENDING = pending_order(NEW, at=AT)
PRICES = (ItemPrice(item_id=HALEEM, name="Haleem", unit_price=Decimal("120.00")),)


def reserved() -> Verdict:
    decided = StockDecided(order_id=ORDER, decision=Decision.RESERVED, items=PRICES)
    return judge(PENDING, decided, at=AT)


def rejected(reason: RejectionReason, items: tuple[UUID, ...] = ()) -> Verdict:
    decided = StockDecided(order_id=ORDER, decision=Decision.REJECTED, reason=reason, refused_item_ids=items)
    return judge(PENDING, decided, at=AT)


def test_a_reserved_order_is_answered_201_with_the_order() -> None:
    answer = final_answer(reserved())
    order = msgspec.json.decode(answer.body, type=Order)
    assert (answer.status, order.id, order.status, order.total) == (
        201,
        ORDER,
        OrderStatus.STOCK_VERIFIED,
        Decimal("240.00"),
    )


@pytest.mark.parametrize(
    ("reason", "problem", "items"),
    [
        (RejectionReason.OUT_OF_STOCK, "/problems/out-of-stock", (HALEEM,)),
        (RejectionReason.UNKNOWN_ITEM, "/problems/unknown-item", (DATES,)),
        (RejectionReason.EXPIRED, "/problems/expired", ()),
    ],
)
def test_a_rejection_is_answered_409_and_holds_nothing_of_the_request(
    reason: RejectionReason, problem: str, items: tuple[UUID, ...]
) -> None:
    answer = final_answer(rejected(reason, items))
    refusal = msgspec.json.decode(answer.body, type=Problem)
    assert (answer.status, refusal.status, refusal.type) == (409, 409, problem)
    assert (refusal.item_ids, refusal.order_id) == (items, ORDER)
    assert (refusal.instance, refusal.request_id) == (None, None)


def test_the_same_decision_gives_the_same_bytes() -> None:
    assert final_answer(reserved()) == final_answer(reserved())


def test_a_pending_order_is_shown_without_prices_and_has_no_final_answer() -> None:
    received = as_received(PENDING)
    body = msgspec.json.decode(order_body(received))
    assert (body["status"], body["total"], body["lines"][0]["unit_price"]) == ("PENDING", None, None)
    assert answer_without_key(received) is None


def test_a_settlement_holds_the_answer_and_the_items_to_publish() -> None:
    verdict = reserved()
    settled = settlement(verdict)
    assert settled.answer == final_answer(verdict)
    assert settled.status_event == msgspec.json.encode(own_status_event(verdict.order))
    assert settled.cook_command == msgspec.json.encode(cook_order(verdict.order))
    assert settlement(rejected(RejectionReason.EXPIRED)).cook_command is None


def test_a_key_that_has_this_very_order_is_not_a_repeat() -> None:
    placing = Placing(order=NEW, key="s:k", request_hash=b"")
    own = KeyedOrder(order=as_received(PENDING), request_hash=b"", answer=None)
    assert receipt_of(placing, own).order == PENDING
    other = msgspec.structs.replace(own, order=msgspec.structs.replace(own.order, id=UUID(int=9)))
    assert (receipt_of(placing, other).order, receipt_of(placing, other).known) == (None, other)
    assert receipt_of(placing, None).known is None
