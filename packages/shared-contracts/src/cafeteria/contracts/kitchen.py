"""Kitchen's messages: orders to cook, a request to cancel one, and its HTTP bodies."""

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
    """A verified order to cook. `version` is the order's version when this was sent, `earlier` its states so far."""

    order_id: UUID
    student_id: StudentId
    lines: tuple[PricedLine, ...]
    version: Version
    earlier: tuple[StatusTime, ...]
    traceparent: Text | None = None


class CookOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Orders to cook in one message; each is independent of the others."""

    orders: tuple[CookOrder, ...]


class CancelTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A request never to cook this order, whether it arrived at the kitchen already or arrives later."""

    order_id: UUID
    student_id: StudentId
    lines: tuple[PricedLine, ...]
    version: Version
    earlier: tuple[StatusTime, ...]


class CancelAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """The reply to a cancel. `cancelled` is false if cooking had begun; the other fields are the ticket's state."""

    order_id: UUID
    cancelled: bool
    status: OrderStatus
    version: int
    at: Instant


class TicketStatus(StrEnum):
    """The states of a ticket. Only the kitchen uses QUEUED; the others are states of the order."""

    QUEUED = "QUEUED"
    IN_KITCHEN = "IN_KITCHEN"
    READY = "READY"
    COLLECTED = "COLLECTED"
    CANCELLED = "CANCELLED"


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket. `id` identifies it in the kitchen's paths, `order_id` everywhere else."""

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
    """The load of the kitchen. `stations` is the total of all replicas, null if people start and finish tickets."""

    queued: int
    in_kitchen: int
    ready: int
    stations: int | None
