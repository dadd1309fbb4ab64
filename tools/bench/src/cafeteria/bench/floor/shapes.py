"""The messages: bodies and subjects of the product's contracts, repeated by hand under the same names."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from cafeteria.bench.floor.batcher import BATCH_LIMIT

RESERVE = "stock.rpc.v1.reserve"
JWKS = "identity.rpc.v1.jwks"
WORK = "kitchen.work.v1.placed"
GATEWAY_STATUS = "order.status.v1.gateway"
KITCHEN_STATUS = "order.status.v1.kitchen"
WORK_TYPE, STATUS_TYPE = "kitchen.cook-orders.v1", "order.statuses-changed.v1"
TYPES = {WORK: WORK_TYPE, GATEWAY_STATUS: STATUS_TYPE, KITCHEN_STATUS: STATUS_TYPE}

MAX_ORDERS = min(128, BATCH_LIMIT)
"""The most orders in one request to stock."""

MAX_ITEMS, MAX_BYTES = min(256, BATCH_LIMIT), 256 << 10
"""The most items and bytes in one message of a stream."""

READY_VERSION = 4
"""PENDING, STOCK_VERIFIED and IN_KITCHEN precede it; the floor has no later version of a cooked order."""

encode = msgspec.json.Encoder().encode


class Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    item_id: UUID
    quantity: Annotated[int, Meta(ge=1, le=20)]


class PlaceOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=20)]


class PricedLine(Struct, frozen=True, kw_only=True):
    item_id: UUID
    name: str | None = None
    quantity: int
    unit_price: Decimal | None = None


class Order(Struct, frozen=True, kw_only=True):
    id: UUID
    status: str
    version: int
    lines: tuple[PricedLine, ...]
    total: Decimal | None
    created_at: datetime
    reason: str | None = None


class ReserveStock(Struct, frozen=True, kw_only=True):
    order_id: UUID
    lines: tuple[Line, ...]
    age_ms: int


class ReserveOrders(Struct, frozen=True, kw_only=True):
    """The orders that one commit has stored."""

    orders: list[ReserveStock]


class ItemPrice(Struct, frozen=True, kw_only=True):
    item_id: UUID
    name: str
    unit_price: Decimal


class StockDecided(Struct, frozen=True, kw_only=True):
    order_id: UUID
    decision: str
    reason: str | None = None
    items: tuple[ItemPrice, ...] = ()
    refused_item_ids: tuple[UUID, ...] = ()


class OrdersDecided(Struct, frozen=True, kw_only=True):
    """Decisions in the order of the request."""

    decisions: list[StockDecided]


class StatusTime(Struct, frozen=True, kw_only=True):
    status: str
    version: int
    at: datetime


class CookOrder(Struct, frozen=True, kw_only=True):
    order_id: UUID
    student_id: str
    lines: tuple[PricedLine, ...]
    version: int
    earlier: tuple[StatusTime, ...]


class CookOrders(Struct, frozen=True, kw_only=True):
    """A message of the stream KITCHEN."""

    orders: list[CookOrder]


class OrderStatusChanged(Struct, frozen=True, kw_only=True):
    order_id: UUID
    student_id: str
    status: str
    version: int
    at: datetime
    earlier: tuple[StatusTime, ...] = ()
    reason: str | None = None


class OrderStatusesChanged(Struct, frozen=True, kw_only=True):
    """A message of the stream NOTIFICATION."""

    events: list[OrderStatusChanged]


class OutboxRow(Struct, frozen=True, kw_only=True):
    """An outbox row: one order or event. The relay packs rows into messages."""

    order_id: UUID
    version: int
    subject: str
    message_id: UUID
    body: bytes
