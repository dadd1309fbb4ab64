"""What gateway and kitchen say of an order's state, and the question whether a receiver knows it."""

from uuid import UUID

import msgspec

from cafeteria.contracts.values import (
    Instant,
    OrderStatus,
    OrderVersion,
    RejectionReason,
    StatusTime,
    StudentId,
    Text,
    Version,
)


class OrderStatusChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An order entered `status`. `earlier` repeats every state before it that the sender knows."""

    order_id: UUID
    student_id: StudentId
    status: OrderStatus
    version: Version
    at: Instant
    earlier: tuple[StatusTime, ...] = ()
    reason: RejectionReason | None = None
    traceparent: Text | None = None


class OrderStatusesChanged(msgspec.Struct, frozen=True, kw_only=True):
    """What was committed together; each event stands by itself."""

    events: tuple[OrderStatusChanged, ...]


class AskKnown(msgspec.Struct, frozen=True, kw_only=True):
    """Which of these order versions has the receiver not heard of?"""

    items: tuple[OrderVersion, ...]


class KnownAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """`behind` means: too far behind its stream to judge; send nothing again."""

    missing: tuple[OrderVersion, ...] = ()
    behind: bool = False
