"""Orders, how stock's decisions change them, and the messages about them. Pure: ids and times are passed in.

An order leaves PENDING only by a decision that stock has committed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from cafeteria.contracts.kitchen import CancelTicket, CookOrder
from cafeteria.contracts.orders import OrderStatusChanged
from cafeteria.contracts.stock import MAX_AGE_MS, Decision, ItemPrice, StockDecided
from cafeteria.contracts.subjects import KITCHEN, NOTIFICATION
from cafeteria.contracts.values import (
    STATUS_VERSIONS,
    Line,
    OrderStatus,
    PricedLine,
    RejectionReason,
    StatusTime,
)
from cafeteria.gateway.errors import DecisionUnusableError

ORDER_LIFETIME = timedelta(milliseconds=MAX_AGE_MS)
"""Stock rejects an older order that it has never seen; an order that it has reserved is verified late."""

OWN_VERSION_LIMIT = 2
"""The gateway publishes PENDING (1) and stock's decision (2); the kitchen publishes the later versions."""

StatusTimes = Mapping[OrderStatus, datetime]


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is not stored yet. The database sets its creation time."""

    id: UUID
    student_id: str
    lines: tuple[Line, ...]
    traceparent: str | None = None


class PendingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """All data of a request to stock, also for its repeat after a crash.

    `age_ms` is the age when the row was read, by the database's clock, like `created_at`: no other clock decides
    whether an order has expired.
    """

    id: UUID
    student_id: str
    lines: tuple[Line, ...]
    created_at: datetime
    expires_at: datetime
    age_ms: int = 0
    traceparent: str | None = None


class Placing(msgspec.Struct, frozen=True, kw_only=True):
    """One request to order: an order that exists only if `key` is new."""

    order: NewOrder
    key: str
    request_hash: bytes


class StoredOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as stored; `age_ms` is its age when the row was read, by the database's clock."""

    id: UUID
    student_id: str
    status: OrderStatus
    version: int
    lines: tuple[PricedLine, ...]
    total: Decimal | None
    rejection_reason: RejectionReason | None
    status_times: dict[OrderStatus, datetime]
    created_at: datetime
    expires_at: datetime
    age_ms: int = 0
    traceparent: str | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """An order as stock's decision changes it. `refused_item_ids` are the items for which stock rejected it."""

    order: StoredOrder
    decided_at: datetime
    refused_item_ids: tuple[UUID, ...] = ()


# --- a request to order ------------------------------------------------------------------------------


def repeated_items(lines: Sequence[Line]) -> tuple[UUID, ...]:
    """Return the items that occur in more than one line."""
    items = [line.item_id for line in lines]
    if len(set(items)) == len(items):
        return ()
    return tuple(item for item, times in Counter(items).items() if times > 1)


def pending_order(order: NewOrder, *, at: datetime) -> PendingOrder:
    """Return the order after it was stored at time `at`."""
    return PendingOrder(
        id=order.id,
        student_id=order.student_id,
        lines=order.lines,
        created_at=at,
        expires_at=at + ORDER_LIFETIME,
        traceparent=order.traceparent,
    )


def as_received(order: PendingOrder) -> StoredOrder:
    """Return the PENDING order: stock has not decided, so it has no prices."""
    return StoredOrder(
        id=order.id,
        student_id=order.student_id,
        status=OrderStatus.PENDING,
        version=STATUS_VERSIONS[OrderStatus.PENDING],
        lines=tuple(PricedLine(item_id=line.item_id, quantity=line.quantity) for line in order.lines),
        total=None,
        rejection_reason=None,
        status_times={OrderStatus.PENDING: order.created_at},
        created_at=order.created_at,
        expires_at=order.expires_at,
        age_ms=order.age_ms,
        traceparent=order.traceparent,
    )


def as_pending(order: StoredOrder) -> PendingOrder:
    """Return the data of the request to stock, from a stored order."""
    return PendingOrder(
        id=order.id,
        student_id=order.student_id,
        lines=tuple(Line(item_id=line.item_id, quantity=line.quantity) for line in order.lines),
        created_at=order.created_at,
        expires_at=order.expires_at,
        age_ms=order.age_ms,
        traceparent=order.traceparent,
    )


# --- stock's decision --------------------------------------------------------------------------------


def judge(order: PendingOrder, decided: StockDecided, *, at: datetime) -> Verdict:
    """Apply stock's decision to a PENDING order. Raises DecisionUnusableError if it does not fit the order."""
    if decided.order_id != order.id:
        raise DecisionUnusableError(f"asked about {order.id}, stock answered about {decided.order_id}")
    if decided.decision is Decision.RESERVED:
        return _verified(order, decided.items, at=at)
    return _rejected(order, decided, at=at)


def _verified(order: PendingOrder, items: tuple[ItemPrice, ...], *, at: datetime) -> Verdict:
    priced = _priced(order.lines, items)
    verified = StoredOrder(
        id=order.id,
        student_id=order.student_id,
        status=OrderStatus.STOCK_VERIFIED,
        version=STATUS_VERSIONS[OrderStatus.STOCK_VERIFIED],
        lines=priced,
        total=sum((line.unit_price * line.quantity for line in priced if line.unit_price), Decimal("0.00")),
        rejection_reason=None,
        status_times={OrderStatus.PENDING: order.created_at, OrderStatus.STOCK_VERIFIED: at},
        created_at=order.created_at,
        expires_at=order.expires_at,
        traceparent=order.traceparent,
    )
    return Verdict(order=verified, decided_at=at)


def _priced(lines: tuple[Line, ...], items: tuple[ItemPrice, ...]) -> tuple[PricedLine, ...]:
    prices = {item.item_id: item for item in items}
    try:
        return tuple(
            PricedLine(
                item_id=line.item_id,
                name=(item := prices[line.item_id]).name,
                quantity=line.quantity,
                unit_price=item.unit_price,
            )
            for line in lines
        )
    except KeyError as missing:
        raise DecisionUnusableError(f"stock reserved, but gave no price for {missing}") from None


def _rejected(order: PendingOrder, decided: StockDecided, *, at: datetime) -> Verdict:
    if decided.reason is None:
        raise DecisionUnusableError(f"stock rejected {order.id} without a reason")
    received = as_received(order)
    rejected = msgspec.structs.replace(
        received,
        status=OrderStatus.REJECTED,
        version=STATUS_VERSIONS[OrderStatus.REJECTED],
        rejection_reason=decided.reason,
        status_times={**received.status_times, OrderStatus.REJECTED: at},
    )
    return Verdict(order=rejected, decided_at=at, refused_item_ids=decided.refused_item_ids)


def is_from_kitchen(event: OrderStatusChanged) -> bool:
    """Return whether the kitchen may publish this: its own states only, each with its version and reason."""
    if event.reason is not None and (event.status, event.reason) != _REFUSED:
        return False
    return event.version == STATUS_VERSIONS[event.status] > OWN_VERSION_LIMIT


_REFUSED = (OrderStatus.CANCELLED, RejectionReason.KITCHEN)


# --- messages ----------------------------------------------------------------------------------------


def versions_to_deliver(
    status: OrderStatus, *, is_known_to_kitchen: bool, notified_version: int
) -> dict[str, int]:
    """Return the version of an order in this state that each receiver, by name, must have and is not known to have.

    The kitchen needs the cook command of a STOCK_VERIFIED order. Notification needs the last version that the gateway
    itself publishes: the kitchen checks the later ones.
    """
    versions: dict[str, int] = {}
    if status is OrderStatus.STOCK_VERIFIED and not is_known_to_kitchen:
        versions[KITCHEN] = STATUS_VERSIONS[OrderStatus.STOCK_VERIFIED]
    own_version = min(STATUS_VERSIONS[status], OWN_VERSION_LIMIT)
    if notified_version < own_version:
        versions[NOTIFICATION] = own_version
    return versions


def path_of(status_times: StatusTimes, *, below: int) -> tuple[StatusTime, ...]:
    """Return the states of the order before version `below`, in version order."""
    times = (
        StatusTime(status=status, version=STATUS_VERSIONS[status], at=at)
        for status, at in status_times.items()
        if STATUS_VERSIONS[status] < below
    )
    return tuple(sorted(times, key=lambda time: time.version))


def own_status_event(order: StoredOrder) -> OrderStatusChanged:
    """Return the event of the last state that the gateway itself publishes; the kitchen may have changed the order since."""
    latest = path_of(order.status_times, below=OWN_VERSION_LIMIT + 1)[-1]
    return OrderStatusChanged(
        order_id=order.id,
        student_id=order.student_id,
        status=latest.status,
        version=latest.version,
        at=latest.at,
        earlier=path_of(order.status_times, below=latest.version),
        reason=order.rejection_reason if latest.status is OrderStatus.REJECTED else None,
        traceparent=order.traceparent,
    )


def cook_order(order: StoredOrder) -> CookOrder:
    return CookOrder(
        order_id=order.id,
        student_id=order.student_id,
        lines=order.lines,
        version=order.version,
        earlier=path_of(order.status_times, below=order.version + 1),
        traceparent=order.traceparent,
    )


def cancel_ticket(order: StoredOrder) -> CancelTicket:
    """Return the request to cancel; `version` is the one that the order gets if the kitchen cancels it."""
    version = STATUS_VERSIONS[OrderStatus.CANCELLED]
    return CancelTicket(
        order_id=order.id,
        student_id=order.student_id,
        lines=order.lines,
        version=version,
        earlier=path_of(order.status_times, below=version),
    )
