"""Kitchen's messages: work to cook, a request to cancel it, and its HTTP bodies."""

from enum import StrEnum
from uuid import UUID

import msgspec

from cafeteria.contracts.values import (
    Instant,
    OrderStatus,
    PricedLine,
    StatusTime,
    StudentId,
    Text,
    Version,
)


class CookOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A verified order. `version` is the order's version when this was sent; `earlier` its path so far."""

    order_id: UUID
    student_id: StudentId
    lines: tuple[PricedLine, ...]
    version: Version
    earlier: tuple[StatusTime, ...]
    traceparent: Text | None = None


class CookOrders(msgspec.Struct, frozen=True, kw_only=True):
    """What was verified together; each order stands by itself."""

    orders: tuple[CookOrder, ...]


class CancelTicket(msgspec.Struct, frozen=True, kw_only=True):
    """Never cook this order, whether its work has arrived already or comes later."""

    order_id: UUID
    student_id: StudentId
    lines: tuple[PricedLine, ...]
    version: Version
    earlier: tuple[StatusTime, ...]


class CancelAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """`cancelled` is false when cooking had begun; `status`, `version` and `at` say where the ticket stands."""

    order_id: UUID
    cancelled: bool
    status: OrderStatus
    version: int
    at: Instant


class TicketStatus(StrEnum):
    """QUEUED is the kitchen's own; the others are the order's states."""

    QUEUED = "QUEUED"
    IN_KITCHEN = "IN_KITCHEN"
    READY = "READY"
    COLLECTED = "COLLECTED"
    CANCELLED = "CANCELLED"


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """`id` names the ticket in the kitchen's paths; `order_id` names it to everyone else."""

    id: UUID
    order_id: UUID
    student_id: str
    status: TicketStatus
    version: int
    lines: tuple[PricedLine, ...]
    received_at: Instant
    started_at: Instant | None
    due_at: Instant | None
    completed_at: Instant | None
    collected_at: Instant | None


class Tickets(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[Ticket, ...]
    next_cursor: str | None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How busy the kitchen is; `stations` is the total over all replicas, null where people press."""

    queued: int
    in_kitchen: int
    ready: int
    stations: int | None
