"""The status events of gateway and kitchen, and the delivery check: which events are missing at a receiver."""

from uuid import UUID

import msgspec

from cafeteria.contracts.values import (
    Instant,
    OrderStatus,
    OrderVersion,
    Pickup,
    RejectionReason,
    StatusTime,
    StudentId,
    Text,
    Version,
)


class OrderStatusChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An order entered `status`. `earlier` repeats every state before it that the sender knows.

    `pickup` is there from IN_KITCHEN on.
    """

    order_id: UUID
    student_id: StudentId
    status: OrderStatus
    version: Version
    at: Instant
    earlier: tuple[StatusTime, ...] = ()
    reason: RejectionReason | None = None
    pickup: Pickup | None = None
    traceparent: Text | None = None


class OrderStatusesChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Events in one message; each is independent of the others."""

    events: tuple[OrderStatusChanged, ...]


class CheckDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery check: which of these order versions are missing at the receiver?"""

    items: tuple[OrderVersion, ...]


class DeliveryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The missing order versions. `behind`: the receiver lags too far to know; send nothing again."""

    missing: tuple[OrderVersion, ...] = ()
    behind: bool = False
