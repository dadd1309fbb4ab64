"""The answers to requests to order: HTTP status and bytes, and what is stored with them.

A final answer is encoded once, and every request with the same key gets those bytes.
"""

import asyncio
from uuid import UUID

import msgspec

from cafeteria.chassis.http.problem_details import encode_problem
from cafeteria.chassis.runtime.errors import LimitReached
from cafeteria.contracts.gateway import Order
from cafeteria.contracts.values import OrderStatus, RejectionReason
from cafeteria.gateway.domain import (
    PendingOrder,
    Placing,
    StoredOrder,
    Verdict,
    as_pending,
    cook_order,
    own_status_event,
)
from cafeteria.gateway.errors import OrderExpired, OutOfStock, Refused, UnknownItem

CREATED = 201
RECEIVED = 202

_encode = msgspec.json.Encoder().encode


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The final response to the student, to the byte: 201 with the order, or 409 with the problem."""

    status: int
    body: bytes


RunningRequest = asyncio.Future[Answer | None]
"""A running request to stock about one order: results in its final answer, or None if not known yet; never raises."""


class KeyedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The order of an idempotency key. `answer` is None until the order is decided."""

    order: StoredOrder
    request_hash: bytes
    answer: Answer | None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The result of receiving one request to order: the new `order`, or the `known` one that its key already belongs to.

    `running` is the request to stock of the order's batch; it is None after a COMMIT of unknown outcome.
    Without any of the three, the key was in use and has been purged since. `refusal`: nothing was stored, because
    the student is at a limit.
    """

    order: PendingOrder | None = None
    running: RunningRequest | None = None
    known: KeyedOrder | None = None
    refusal: LimitReached | None = None


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict with the final answer and the encoded items to publish: a verified order also has a cook command."""

    verdict: Verdict
    answer: Answer
    status_event: bytes
    cook_command: bytes | None


def receipt_of(placing: Placing, known: KeyedOrder | None) -> Receipt:
    """Return the receipt of a request whose key is in use.

    If the key has this very order, an earlier attempt of its commit succeeded and only the reply was lost.
    """
    if known is not None and known.order.id == placing.order.id:
        return Receipt(order=as_pending(known.order))
    return Receipt(known=known)


def settlement(verdict: Verdict) -> Settlement:
    order = verdict.order
    is_verified = order.status is OrderStatus.STOCK_VERIFIED
    return Settlement(
        verdict=verdict,
        answer=final_answer(verdict),
        status_event=_encode(own_status_event(order)),
        cook_command=_encode(cook_order(order)) if is_verified else None,
    )


def final_answer(verdict: Verdict) -> Answer:
    order = verdict.order
    if order.rejection_reason is None:
        return Answer(status=CREATED, body=order_body(order))
    refusal = refusal_of(order.rejection_reason, item_ids=verdict.refused_item_ids, order_id=order.id)
    # without any data of the first request: every repeat gets the same bytes
    return Answer(status=refusal.status, body=encode_problem(refusal, instance=None, request_id=None))


def answer_without_key(order: StoredOrder) -> Answer | None:
    """Return the answer for an order without a stored one; None while it is PENDING.

    An order leaves PENDING without a settlement if it is restored from a backup and then projected from an event.
    """
    if order.status is OrderStatus.PENDING:
        return None
    return Answer(status=CREATED, body=order_body(order))


def refusal_of(reason: RejectionReason, *, item_ids: tuple[UUID, ...], order_id: UUID) -> Refused:
    if reason is RejectionReason.OUT_OF_STOCK:
        return OutOfStock(item_ids=item_ids, order_id=order_id)
    if reason is RejectionReason.UNKNOWN_ITEM:
        return UnknownItem(item_ids=item_ids, order_id=order_id)
    return OrderExpired(order_id=order_id)


def to_view(order: StoredOrder) -> Order:
    """Return the order as the HTTP interface shows it."""
    return Order(
        id=order.id,
        status=order.status,
        version=order.version,
        lines=order.lines,
        total=order.total,
        created_at=order.created_at,
        reason=order.rejection_reason,
    )


def order_body(order: StoredOrder) -> bytes:
    return _encode(to_view(order))
