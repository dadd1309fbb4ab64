"""Stock's messages: the decision on an order, its release, the availability of items, and its HTTP bodies."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from cafeteria.contracts.values import Instant, Line, RejectionReason, Text

MAX_ORDERS = 128
"""Limit of the orders in one reserve request."""
MAX_REPLY_BYTES = 512 * 1024
"""Limit of the decisions in one reply; an order whose decision does not fit is left out, and the gateway repeats it."""
MAX_AGE_MS = 60_000
"""Stock rejects an order for good, as EXPIRED, if it is older when stock first receives it."""


class Decision(StrEnum):
    RESERVED = "RESERVED"
    REJECTED = "REJECTED"


class TransactionKind(StrEnum):
    DEDUCT = "DEDUCT"
    RELEASE = "RELEASE"


class ReserveStock(msgspec.Struct, frozen=True, kw_only=True):
    """A request to decide on an order; the same `order_id` always gets the same answer.

    `age_ms` is how long ago the order was stored, by the clock of the gateway's database alone.
    """

    order_id: UUID
    lines: tuple[Line, ...]
    age_ms: Annotated[int, msgspec.Meta(ge=0)]
    traceparent: Text | None = None


class ReserveOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Up to MAX_ORDERS orders, each decided separately."""

    orders: tuple[ReserveStock, ...]


class ItemPrice(msgspec.Struct, frozen=True, kw_only=True):
    item_id: UUID
    name: str
    unit_price: Decimal


class StockDecided(msgspec.Struct, frozen=True, kw_only=True):
    """Stock's committed decision. `refused_item_ids` are the items that caused a rejection."""

    order_id: UUID
    decision: Decision
    reason: RejectionReason | None = None
    items: tuple[ItemPrice, ...] = ()
    refused_item_ids: tuple[UUID, ...] = ()


class OrdersDecided(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions in the order of the request. A missing one is undecided or did not fit: the gateway repeats it."""

    decisions: tuple[StockDecided, ...]


class ReleaseStock(msgspec.Struct, frozen=True, kw_only=True):
    """A request to give back an order's portions, once; an unknown order can then never take any."""

    order_id: UUID


class StockReleased(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    released_at: Instant


class ItemAvailability(msgspec.Struct, frozen=True, kw_only=True):
    """A hint on an item: `available` is whole portions, 0 when off sale; the highest `version` is the newest."""

    item_id: UUID
    name: str
    unit_price: Decimal
    available: int
    version: int


class AvailabilityChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Items whose availability changed. `complete` marks a message that lists all items."""

    items: tuple[ItemAvailability, ...]
    complete: bool = False


MAX_NAME = 120
"""Limit of the code points in an item's name."""

ItemName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_NAME,
        description="Characters are code points as sent; at least one is visible, and none turns the direction.",
    ),
]
Price = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9]{1,8}(\.[0-9]{1,2})?(?![\s\S])",  # "$" would also match before a line's end
        description='Digits, and after a point at most two more: "120" or "120.50".',
    ),
]
"""Text, because Decimal accepts underscores, exponents and every script's digits, and a JSON number may be a float."""
StockQuantity = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
RestockQuantity = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class CreateItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: ItemName
    price: Price
    quantity: StockQuantity


class ChangeItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of an item. Absent fields do not change."""

    name: ItemName | msgspec.UnsetType = msgspec.UNSET
    price: Price | msgspec.UnsetType = msgspec.UNSET
    on_sale: bool | msgspec.UnsetType = msgspec.UNSET


class Restock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    quantity: RestockQuantity


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An item. `quantity` is the portions in the store; `available` is the portions on sale: 0 when off sale."""

    id: UUID
    name: str
    price: Decimal
    on_sale: bool
    quantity: int
    version: int
    available: int


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """A page of items, by name. Answers of version 0.1 had all items and no `next_cursor`."""

    items: tuple[Item, ...]
    next_cursor: str | None = None


class StockTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger; a release is negative."""

    order_id: UUID
    item_id: UUID
    quantity_deducted: int
    kind: TransactionKind
    created_at: Instant


class StockTransactions(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[StockTransaction, ...]
    next_cursor: str | None
