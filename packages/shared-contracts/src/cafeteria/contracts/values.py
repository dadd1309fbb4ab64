"""Values that several messages share: ids, portions, prices, times and states."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

MAX_LINES_PER_ORDER = 20
MAX_PORTIONS_PER_LINE = 20

Quantity = Annotated[int, msgspec.Meta(ge=1, le=MAX_PORTIONS_PER_LINE)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Version = Annotated[int, msgspec.Meta(ge=1, le=5)]
Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*(?![\s\S])")]
"""Postgres stores everything but NUL."""
# "$" would also match before a line's end
StudentId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,32}(?![\s\S])")]


class Role(StrEnum):
    STUDENT = "student"
    KITCHEN = "kitchen"
    OPERATOR = "operator"


class OrderStatus(StrEnum):
    """The state of an order. READY is the last automatic state; a person collects the order."""

    PENDING = "PENDING"
    STOCK_VERIFIED = "STOCK_VERIFIED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    IN_KITCHEN = "IN_KITCHEN"
    READY = "READY"
    COLLECTED = "COLLECTED"


STATUS_VERSIONS = {
    OrderStatus.PENDING: 1,
    OrderStatus.STOCK_VERIFIED: 2,
    OrderStatus.REJECTED: 2,
    OrderStatus.CANCELLED: 3,
    OrderStatus.IN_KITCHEN: 3,
    OrderStatus.READY: 4,
    OrderStatus.COLLECTED: 5,
}
"""A state's position in the order's life; a receiver keeps the highest that it has received."""

ENDED_STATUSES = frozenset({OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.COLLECTED})


class RejectionReason(StrEnum):
    """Why an order ended without a meal. KITCHEN goes with CANCELLED: the kitchen refused it; the others with REJECTED."""

    OUT_OF_STOCK = "OUT_OF_STOCK"
    UNKNOWN_ITEM = "UNKNOWN_ITEM"
    EXPIRED = "EXPIRED"
    KITCHEN = "KITCHEN"


CallNumber = Annotated[int, msgspec.Meta(ge=0, le=999)]
"""Everybody in the hall may read it; it wraps after 1,000 tickets."""
PickupCode = Annotated[str, msgspec.Meta(pattern=r"^[2-9A-HJKMNP-TV-Z]{4}(?![\s\S])")]
"""Four characters without look-alikes, known to the student and the kitchen alone."""


class Pickup(msgspec.Struct, frozen=True, kw_only=True):
    """What a meal is called up and handed out by, the same for the whole life of a ticket."""

    number: CallNumber
    code: PickupCode


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity of portions of one item."""

    item_id: UUID
    quantity: Quantity


class PricedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as stock decided it; name and unit price are null until the decision."""

    item_id: UUID
    name: Text | None = None
    quantity: Quantity
    unit_price: Decimal | None = None


class StatusTime(msgspec.Struct, frozen=True, kw_only=True):
    """When an order entered a state; messages carry the earlier ones, for receivers that missed them."""

    status: OrderStatus
    version: Version
    at: Instant


class OrderVersion(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    version: Version
