"""Convert rows of `orders`, alone or joined with their idempotency keys, to values."""

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from cafeteria.chassis.database.statement import Row
from cafeteria.contracts.values import OrderStatus, PricedLine, RejectionReason
from cafeteria.gateway.answers import Answer, KeyedOrder
from cafeteria.gateway.domain import StoredOrder
from cafeteria.gateway.tables import IdempotencyKeyRow, OrderRow


def age_ms_of(table: str) -> str:
    """Return the SQL of the age of an order in milliseconds; 0 if the clock was set back before its creation."""
    seconds = f"extract(epoch FROM clock_timestamp() - {table}.created_at)"
    return f"CAST(GREATEST({seconds}, 0) * 1000 AS bigint)"


# jsonb is read as text, so that it is decoded once, directly into the domain's types.
ORDER_COLUMNS: tuple[sa.ColumnElement[Any] | InstrumentedAttribute[Any], ...] = (
    OrderRow.id,
    OrderRow.student_id,
    OrderRow.status,
    OrderRow.version,
    sa.cast(OrderRow.lines, sa.Text).label("lines"),
    OrderRow.total,
    OrderRow.rejection_reason,
    sa.cast(OrderRow.status_times, sa.Text).label("status_times"),
    OrderRow.created_at,
    OrderRow.expires_at,
    OrderRow.traceparent,
    sa.literal_column(age_ms_of("gateway.orders"), sa.BigInteger).label("age_ms"),
)
KEY_COLUMNS: tuple[InstrumentedAttribute[Any], ...] = (
    IdempotencyKeyRow.key,
    IdempotencyKeyRow.request_hash,
    IdempotencyKeyRow.response_status,
    IdempotencyKeyRow.response_body,
)

RETURNED = f"""o.id, o.student_id, o.status, o.version, CAST(o.lines AS text) AS lines, o.total,
    o.rejection_reason, CAST(o.status_times AS text) AS status_times, o.created_at, o.expires_at,
    o.traceparent, {age_ms_of("o")} AS age_ms"""
"""The SQL of the same columns, to return from a statement in which `o` is `gateway.orders`."""

_LINES = msgspec.json.Decoder(tuple[PricedLine, ...])
_STATUS_TIMES = msgspec.json.Decoder(dict[OrderStatus, datetime])


def stored_order(row: sa.Row[Any] | Row) -> StoredOrder:
    return StoredOrder(
        id=row.id,
        student_id=row.student_id,
        status=OrderStatus(row.status),
        version=row.version,
        lines=_LINES.decode(row.lines),
        total=row.total,
        rejection_reason=row.rejection_reason and RejectionReason(row.rejection_reason),
        status_times=_STATUS_TIMES.decode(row.status_times),
        created_at=row.created_at,
        expires_at=row.expires_at,
        age_ms=row.age_ms,
        traceparent=row.traceparent,
    )


def keyed_order(row: sa.Row[Any] | Row) -> KeyedOrder:
    return KeyedOrder(order=stored_order(row), request_hash=row.request_hash, answer=stored_answer(row))


def stored_answer(row: sa.Row[Any] | Row) -> Answer | None:
    if row.response_status is None:
        return None
    return Answer(status=row.response_status, body=row.response_body)
