"""One request to order: its answer before and after stock's decision, and the messages for the other services."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec

from cafeteria.bench.floor.batcher import new_id
from cafeteria.bench.floor.shapes import (
    GATEWAY_STATUS,
    WORK,
    CookOrder,
    Order,
    OrderStatusChanged,
    OutboxRow,
    PricedLine,
    StatusTime,
    StockDecided,
    encode,
)


class Placing(msgspec.Struct, kw_only=True):
    """A request to order, filled in by its two commits. `answered` resolves to False when its key was stored before."""

    student_id: str
    key: str
    lines: tuple[Any, ...]
    at: datetime
    order_id: Any
    answered: asyncio.Future[bool]
    answer: tuple[int, bytes] = (202, b"")
    status: str = "PENDING"
    reason: str | None = None
    decided_at: datetime | None = None
    body: bytes = b""
    messages: tuple[OutboxRow, ...] = ()


def apply_decision(placing: Placing, decided: StockDecided) -> None:
    """Set the final answer and the messages: the status event, then the cook command of a reserved order."""
    placing.decided_at = datetime.now(UTC)
    pending = StatusTime(status="PENDING", version=1, at=placing.at)
    if decided.decision == "RESERVED":
        placing.status = "STOCK_VERIFIED"
        prices = {item.item_id: item for item in decided.items}
        lines = tuple(
            PricedLine(
                item_id=line.item_id,
                name=prices[line.item_id].name,
                quantity=line.quantity,
                unit_price=prices[line.item_id].unit_price,
            )
            for line in placing.lines
        )
        placing.body = encode(order_of(placing, lines, version=2))
        placing.answer = (201, placing.body)
        verified = StatusTime(status=placing.status, version=2, at=placing.decided_at)
        command = CookOrder(
            order_id=placing.order_id,
            student_id=placing.student_id,
            lines=lines,
            version=2,
            earlier=(pending, verified),
        )
        placing.messages = (_status_event(placing, pending), _message(placing, WORK, encode(command)))
    else:
        placing.status, placing.reason = "REJECTED", decided.reason
        placing.body = encode({"type": "/problems/out-of-stock", "item_ids": decided.refused_item_ids})
        placing.answer = (409, placing.body)
        placing.messages = (_status_event(placing, pending),)


def _status_event(placing: Placing, pending: StatusTime) -> OutboxRow:
    event = OrderStatusChanged(
        order_id=placing.order_id,
        student_id=placing.student_id,
        status=placing.status,
        version=2,
        at=placing.decided_at or placing.at,
        earlier=(pending,),
        reason=placing.reason,
    )
    return _message(placing, GATEWAY_STATUS, encode(event))


def _message(placing: Placing, subject: str, body: bytes) -> OutboxRow:
    return OutboxRow(
        order_id=placing.order_id,
        version=2,
        subject=subject,
        message_id=new_id(),
        body=body,
    )


def order_of(placing: Placing, lines: tuple[PricedLine, ...], *, version: int) -> Order:
    prices = [line.unit_price * line.quantity for line in lines if line.unit_price is not None]
    return Order(
        id=placing.order_id,
        status=placing.status,
        version=version,
        lines=lines,
        total=sum(prices, Decimal("0.00")) if prices else None,
        created_at=placing.at,
    )


def unpriced(lines: tuple[Any, ...]) -> tuple[PricedLine, ...]:
    return tuple(PricedLine(item_id=line.item_id, quantity=line.quantity) for line in lines)


def request_hash(lines: tuple[Any, ...]) -> bytes:
    pairs = sorted((line.item_id.bytes, line.quantity) for line in lines)
    return sha256(b"".join(item + bytes((quantity,)) for item, quantity in pairs)).digest()
