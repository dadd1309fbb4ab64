"""Kitchen's messages: orders to cook, a request to cancel one, and its HTTP bodies."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from cafeteria.contracts.values import (
    CallNumber,
    Instant,
    OrderStatus,
    Pickup,
    PricedLine,
    RejectionReason,
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
    """The reply to a cancel. `cancelled` is false if cooking had begun; the other fields are the ticket's state.

    `reason` is KITCHEN where the kitchen had refused it before.
    """

    order_id: UUID
    cancelled: bool
    status: OrderStatus
    version: int
    at: Instant
    reason: RejectionReason | None = None


class TicketStatus(StrEnum):
    """The states of a ticket. Only the kitchen uses QUEUED; the others are states of the order."""

    QUEUED = "QUEUED"
    IN_KITCHEN = "IN_KITCHEN"
    READY = "READY"
    COLLECTED = "COLLECTED"
    CANCELLED = "CANCELLED"


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket. `id` identifies it in the kitchen's paths, `order_id` everywhere else.

    `station` is the one that cooks it now, `quoted_to` the later end of the range that was told when the ticket arrived,
    `refusal` what the kitchen's people wrote when they refused it.
    """

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
    pickup: Pickup | None = None
    station: int | None = None
    quoted_to: Instant | None = None
    refusal: str | None = None


class Tickets(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[Ticket, ...]
    next_cursor: str | None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The load of the kitchen. `stations` is the total of all replicas, null if people start and finish tickets."""

    queued: int
    in_kitchen: int
    ready: int
    stations: int | None


MAX_REFUSAL = 200
"""Limit of the characters in what the kitchen's people write when they refuse a ticket."""


class RefuseTicket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to refuse a ticket that no cook has begun. The student reads that the kitchen refused, not this text."""

    reason: Annotated[Text, msgspec.Meta(min_length=1, max_length=MAX_REFUSAL)]


MAX_DELAY_S = 3600
MAX_PAUSE_MINUTES = 720


class ChangeIntake(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to pause or open the intake of orders. With `minutes` a pause ends by itself; open, they have no meaning."""

    is_open: bool
    delay_s: Annotated[int, msgspec.Meta(ge=0, le=MAX_DELAY_S)] = 0
    minutes: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAUSE_MINUTES)] | None = None


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """Whether orders are taken. `reopens_at` is null while it is open, and where a pause has no end.

    `delay_s` is what the kitchen adds to every ready time, `by` who changed it last at `at`; both null before the first change.
    """

    is_open: bool
    reopens_at: Instant | None
    delay_s: int
    by: str | None
    at: Instant | None


class KitchenMode(StrEnum):
    """`auto`: the kitchen cooks by itself; `manual`: people start and finish tickets."""

    AUTO = "auto"
    MANUAL = "manual"


MAX_QUEUE_MARKS = 12


class QueueMark(msgspec.Struct, frozen=True, kw_only=True):
    """`ahead` tickets of the queue were verified before `verified_at`."""

    verified_at: Instant
    ahead: int


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast the kitchen works, as it says each second; of several replicas the greatest `at` counts.

    `per_min` is the tickets that it finishes a minute while something waits, 0 where it does not know; `prep_p50_s` and
    `prep_p90_s` are the median and the 90th percentile of a ticket's cooking in seconds. `stations` is null where people
    cook. `queue` rises, and is empty while nothing waits.
    """

    at: Instant
    is_open: bool
    reopens_at: Instant | None
    delay_s: int
    mode: KitchenMode
    queued: int
    in_kitchen: int
    ready: int
    stations: int | None
    per_min: float
    prep_p50_s: float
    prep_p90_s: float
    queue: tuple[QueueMark, ...] = ()


class BoardTotal(msgspec.Struct, frozen=True, kw_only=True):
    """The portions of one item that wait, and that cook now."""

    item_id: UUID
    name: str
    queued: int
    in_kitchen: int


class KitchenBoard(msgspec.Struct, frozen=True, kw_only=True):
    """What the kitchen's screens show, of one snapshot: the oldest tickets of each state, and the totals of all."""

    as_of: Instant
    mode: KitchenMode
    intake: Intake
    load: Load
    totals: tuple[BoardTotal, ...]
    queued: tuple[Ticket, ...]
    in_kitchen: tuple[Ticket, ...]
    ready: tuple[Ticket, ...]


class ReadyNumber(msgspec.Struct, frozen=True, kw_only=True):
    """A number that is called up, and since when."""

    number: CallNumber
    since: Instant


class HallBoard(msgspec.Struct, frozen=True, kw_only=True):
    """What the hall may read: numbers alone. `waiting` counts the tickets that no cook has begun."""

    as_of: Instant
    is_open: bool
    reopens_at: Instant | None
    ready: tuple[ReadyNumber, ...]
    cooking: tuple[CallNumber, ...]
    waiting: int
