"""Gateway's HTTP bodies: the request to order, the order and the menu."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec

from cafeteria.contracts.values import (
    MAX_LINES_PER_ORDER,
    Instant,
    Line,
    OrderStatus,
    PricedLine,
    RejectionReason,
)


class OrderLine(Line, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of an order, as the student sends it. Unknown fields are refused."""


Lines = Annotated[tuple[OrderLine, ...], msgspec.Meta(min_length=1, max_length=MAX_LINES_PER_ORDER)]


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to order. No item may be in two lines."""

    lines: Lines


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order. `total` and the prices are null until stock has decided.

    `reason` is set if it was REJECTED, or CANCELLED by the kitchen.
    """

    id: UUID
    status: OrderStatus
    version: int
    lines: tuple[PricedLine, ...]
    total: Decimal | None
    created_at: Instant
    reason: RejectionReason | None = None


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[Order, ...]
    next_cursor: str | None


class MenuItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item on the menu. `available` is null while the gateway does not know it; an order then asks stock."""

    item_id: UUID
    name: str
    unit_price: Decimal
    available: int | None


class Menu(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[MenuItem, ...]
