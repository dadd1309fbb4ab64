"""Notification's HTTP bodies: the event of a live stream, and the delivery log."""

from uuid import UUID

import msgspec

from cafeteria.contracts.values import Instant, OrderStatus, RejectionReason


class OrderStatusEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The data of one server-sent event."""

    order_id: UUID
    status: OrderStatus
    version: int
    at: Instant
    reason: RejectionReason | None = None


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the delivery log; `delivered_at` is null until a live stream has sent it."""

    order_id: UUID
    status: OrderStatus
    version: int
    sent_at: Instant
    delivered_at: Instant | None


class Notifications(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[Notification, ...]
    next_cursor: str | None
