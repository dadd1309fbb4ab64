"""Gateway's HTTP bodies: what a student sends to order, and what an order looks like."""

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
    """A line as a student asks for it: a misspelt field is refused, not dropped."""


Lines = Annotated[tuple[OrderLine, ...], msgspec.Meta(min_length=1, max_length=MAX_LINES_PER_ORDER)]


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No item may stand in two lines."""

    lines: Lines


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """`total` and the prices are null until stock has decided; `reason` says why one was REJECTED."""

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
    """`available` is null when the gateway has not heard of the item for a while: ordering asks stock."""

    item_id: UUID
    name: str
    unit_price: Decimal
    available: int | None


class Menu(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[MenuItem, ...]
