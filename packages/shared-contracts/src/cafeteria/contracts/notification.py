"""Notification's HTTP bodies: the events of a live stream, and the delivery log."""

from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import msgspec

from cafeteria.contracts.kitchen import Pace
from cafeteria.contracts.values import Instant, OrderStatus, Pickup, RejectionReason


class OrderStatusEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The data of an `order.status` event. `pickup` is there from IN_KITCHEN on, and left out before."""

    order_id: UUID
    status: OrderStatus
    version: int
    at: Instant
    reason: RejectionReason | None = None
    pickup: Pickup | msgspec.UnsetType | None = msgspec.UNSET


class Level(StrEnum):
    """How much of an item is left: PLENTY is more than 20 portions, UNKNOWN that stock was not heard of lately."""

    PLENTY = "plenty"
    FEW = "few"
    GONE = "gone"
    UNKNOWN = "unknown"


class MenuLevel(msgspec.Struct, frozen=True, kw_only=True):
    """An item of the menu; `available` is null while it is not known."""

    item_id: UUID
    name: str
    unit_price: Decimal
    available: int | None
    level: Level


class MenuChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a `menu.changed` event: the whole menu when a stream joins, then the items that changed."""

    items: tuple[MenuLevel, ...]


class CanteenPulse(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a `canteen.pulse` event; the next one comes after `next_s` seconds.

    `kitchen` is what the kitchen said last, null before it said anything. The ages are in seconds since kitchen and stock
    were heard of, null before that.
    """

    at: Instant
    next_s: float
    kitchen: Pace | None
    kitchen_age_s: float | None
    menu_age_s: float | None


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
